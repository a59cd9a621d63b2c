#pragma once

#include <filesystem>
#include <vector>

namespace lithe::models {

/// The GGUF files of a model.
struct GgufFiles {
  std::filesystem::path text;
  std::filesystem::path mmproj;  ///< Empty if there is none.
  bool found = false;            ///< The mmproj was not named but lies in the folder of the text model.
};

/// Whether a model is GGUF: a file of that kind, or a folder with such files and no other weights.
bool is_gguf_model(const std::filesystem::path& model);

/// The files that `model` means: a text model, or a folder with just one; and `mmproj`, or if that is empty the one
/// GGUF file in the folder that is called so or holds a tower. Throws Error{bad_file} if it is not clear which.
GgufFiles find_gguf_files(const std::filesystem::path& model, const std::filesystem::path& mmproj);

/// Throws Error{bad_request} if `model` is GGUF, which is read and not written. `verb`: "fold", "tune", "convert".
void refuse_gguf(const std::filesystem::path& model, const char* verb);

}  // namespace lithe::models
