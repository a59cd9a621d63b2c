#pragma once

#include <optional>
#include <string_view>

#include "io/pickle.h"
#include "io/tensor_view.h"

namespace lithe::io {

/// The function that wraps a tensor as a Parameter; its first argument is the tensor.
inline constexpr std::string_view kTorchParameter = "torch._utils._rebuild_parameter";

/// What a global may do in a file of torch.save; absent for everything but tensors, storages and plain containers.
std::optional<Pickle::Role> torch_role(std::string_view global);

/// The dtype of a storage class, "torch.HalfStorage" or "torch.cuda.HalfStorage"; absent for any other name.
std::optional<Dtype> torch_storage_dtype(std::string_view global);

/// Whether the function makes a tensor of (storage, offset, shape, strides, ...).
bool is_torch_tensor(std::string_view global);

}  // namespace lithe::io
