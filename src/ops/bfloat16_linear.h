#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace lithe::ops {

using at::Tensor;

/// `linear` with rows, weight and result rounded to bfloat16, summed in float32, for training: LibTorch's product,
/// which uses the processor's instructions for bfloat16 if it has some. Its gradients are such products too. One node
/// of autograd, which keeps the rows and the weight as they are given. It can be differentiated only once. Few rows
/// that ask for no gradient are multiplied as `linear` does: they are not worth rounding a weight. x: [rows, in],
/// weight: [out, in], bias: [out] -> [rows, out] in x's type
Tensor bfloat16_linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias);

}  // namespace lithe::ops
