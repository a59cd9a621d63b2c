#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "io/tensor_view.h"

namespace lithe::io {

/// Opens what torch.save wrote (.bin, .pth, .ckpt, .pt): the zip format, and the one before PyTorch 1.6. An archive of
/// TorchScript (OpenAI's CLIP) gives the parameters and buffers of its modules, "visual.conv1.weight". The pickle
/// inside is read as data, nothing in it runs: tensors and plain containers only, the rest is refused by name. The
/// tensors are those of the outermost dict, or of its entry "state_dict", "model" or "module" when it holds none
/// itself. They are views into the mapping; compressed, misaligned and non-contiguous ones are copied. Throws
/// Error{bad_file}.
std::map<std::string, TensorView> open_torch(const std::filesystem::path& path);

/// The same over memory.
std::map<std::string, TensorView> parse_torch(const Bytes& bytes);

}  // namespace lithe::io
