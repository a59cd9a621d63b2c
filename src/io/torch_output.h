#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "io/tensor_view.h"

namespace lithe::io {

/// Writes {"model": {name: tensor}} as torch.save does since PyTorch 1.6, atomically: what published training code
/// loads its adapters from. For a few MB: all that is written is in memory at once. Throws Error{bad_file}, also for 2
/// GiB or more, which need another kind of zip file.
void write_torch(const std::filesystem::path& path, const std::vector<std::pair<std::string, TensorView>>& tensors);

}  // namespace lithe::io
