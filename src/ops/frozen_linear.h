#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace lithe::ops {

using at::Tensor;

/// `linear` as one node of autograd, for a frozen weight. LibTorch's own product would keep the widened weight until
/// the backward pass; this node keeps the weight as it is stored, and its gradient for x is transposed_linear. x or the
/// bias requires a gradient. It can be differentiated only once.
Tensor frozen_linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias);

}  // namespace lithe::ops
