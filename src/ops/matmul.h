#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "ops/compute.h"
#include "ops/weight_view.h"

namespace lithe::ops {

using at::Tensor;

/// y = x w^T + bias.  x: [rows, in], w: [out, in], bias: [out] -> [rows, out] in x's type.
/// How w is stored need not be how the product is computed: float16 and bfloat16 weights under float32 rows are
/// widened, a panel at a time for many rows and in registers for few, so that no second copy of the weights ever
/// exists. On a GPU they are not widened: there the rows are rounded to them, and the sums are float32. Differentiable;
/// a frozen weight is not widened for the backward pass either.
Tensor linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias);

/// x = y w, the gradient of `linear` with respect to x.  y: [rows, out], w: [out, in] -> [rows, in] in y's type. Stored
/// weights are widened a panel at a time. Not differentiable.
Tensor transposed_linear(const Tensor& y, const Tensor& weight);

/// x w^T over weights as they are stored, by the fastest product that reads them so.  x: [rows, width] float32 on the
/// CPU -> [rows, outs]. Not differentiable.
Tensor stored_product(const Tensor& x, const WeightView& weight, Compute compute = Compute::float32);

/// y w over weights as they are stored.  y: [rows, outs] float32 on the CPU -> [rows, width]. Not differentiable.
Tensor stored_transposed(const Tensor& y, const WeightView& weight);

/// Rows [first, first + count) of weights as float32.  -> to: [count, width]
void widen_rows(const WeightView& weight, int64_t first, int64_t count, float* to);

}  // namespace lithe::ops
