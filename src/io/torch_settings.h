#pragma once

#include <filesystem>

#include "base/json.h"

namespace lithe::io {

/// What PyTorch Lightning saved as "hyper_parameters" beside the weights (.ckpt), as far as it is texts, numbers, lists
/// and dicts; anything else in it is left out. An empty object for files without it. Throws Error{bad_file}.
Json read_hyper_parameters(const std::filesystem::path& file);

}  // namespace lithe::io
