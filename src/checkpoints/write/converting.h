#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "io/safetensors.h"

namespace lithe::models {

/// How `convert_folder` writes a model.
enum class TargetLayout {
  same,      ///< As it is; only the weights become safetensors.
  hf,        ///< Hugging Face: llava or llava_next, one model.safetensors with everything.
  original,  ///< LLaVA's own, with the tower beside the language model or inside, as it came.
};

/// What a folder became.
struct Converted {
  int64_t tensors = 0;
  int64_t bytes = 0;               ///< Of the tensors.
  int64_t files = 0;               ///< Others, written or copied.
  std::vector<std::string> notes;  ///< What only Lithe reads of the new folder, a sentence each.
};

/// Writes the model folder `from` anew as `to`, in a layout of docs/checkpoints.md; opened, it computes the same from
/// the same request. Types of weights are kept; no more than a tensor at a time is in memory. `to` must not exist;
/// it appears whole or not at all. Throws Error{bad_file}; Error{bad_request} if `to` exists or is inside
/// `from`, or if the layout has no form for the model. METER, which may be a file, has one layout (meter_folder.h).
/// `on_bytes` counts each file of weights from its beginning.
Converted convert_folder(const std::filesystem::path& from, const std::filesystem::path& to, TargetLayout layout,
                         const io::OnBytes& on_bytes = {});

}  // namespace lithe::models
