#pragma once

#include <cstdint>
#include <filesystem>

namespace lithe::io {

/// What a folder became.
struct Resaved {
  int64_t tensors = 0;
  int64_t bytes = 0;  ///< Of the tensors.
  int64_t files = 0;  ///< Copied as they were.
};

/// Writes the model folder `from` anew as `to`: all weights as one model.safetensors, under the same names and in the
/// same types, other files as they are, and folders below that hold a config.json (vision towers) the same way. Of
/// the weights no more than a tensor at a time is in memory. `to` must not be there; it appears whole or not at all.
/// Throws Error{bad_file}, and Error{bad_request} where `to` is there or lies inside `from`.
Resaved resave_folder(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace lithe::io
