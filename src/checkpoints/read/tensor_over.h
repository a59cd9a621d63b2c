#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "io/tensor_view.h"

namespace lithe::models {

/// LibTorch's type for weights of a file; absent if they are not floating point.
std::optional<at::ScalarType> float_type(io::Dtype dtype);

/// A tensor over the memory of the view, which stays alive as long as the tensor. Throws Error{bad_file} for types that
/// are not floating point.
at::Tensor tensor_over(const io::TensorView& view);

/// The same for int8, which is never a weight by itself but its codes. Throws Error{bad_file} for other types.
at::Tensor codes_over(const io::TensorView& view);

}  // namespace lithe::models
