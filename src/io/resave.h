#pragma once

#include <cstdint>
#include <filesystem>

#include "io/new_folder.h"
#include "io/safetensors.h"

namespace lithe::io {

/// What a folder became.
struct Resaved {
  int64_t tensors = 0;
  int64_t bytes = 0;  ///< Of the tensors.
  int64_t files = 0;  ///< Copied as they were.
};

/// Writes the source of `folder` anew into its part: all weights as one model.safetensors, under the same names and in
/// the same types, other files as they are, and folders below that hold a config.json (vision towers) the same way,
/// links to such folders among them. Of the weights no more than a tensor at a time is in memory. `on_bytes`
/// counts each file of weights from its beginning. Throws Error{bad_file}.
Resaved resave_folder(const NewFolder& folder, const OnBytes& on_bytes = {});

}  // namespace lithe::io
