#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace lithe::ops {

using at::Tensor;

/// y = x w^T + bias.  x: [rows, in], w: [out, in], bias: [out] -> [rows, out] in x's type.
/// How w is stored need not be how the product is computed: float16 and bfloat16 weights under float32 rows are
/// widened, a panel at a time for many rows and in registers for few, so that no second copy of the weights ever
/// exists.
Tensor linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias);

}  // namespace lithe::ops
