#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace lithe::ops {

using at::Tensor;

/// `linear` in float32 on the CPU as one node of autograd whose products, forward and backward, are row_gemm's.  x:
/// [rows, in], weight: [out, in], bias: [out] -> [rows, out]. Each may require a gradient. It can be differentiated
/// only once.
Tensor learning_linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias);

}  // namespace lithe::ops
