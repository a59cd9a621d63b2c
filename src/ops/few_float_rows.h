#pragma once

#include <cstdint>

#include "ops/weight_view.h"

namespace lithe::ops {

/// y = x w^T in float32, for some rows of x and weights of a float type.  x: [rows, width], y: [rows, outs]
/// Made for more rows than dot products are good for, and fewer than fill the vectors of row_gemm: here a vector holds
/// one column of many rows of the weights. They are read once, and turned and widened in the first-level cache. Splits
/// the work over LibTorch's threads.
void few_float_rows(const float* x, int64_t rows, const WeightView& weight, float* y);

/// Whether the chosen vector set has kernels for it (AVX-512).
bool has_few_float_rows();

}  // namespace lithe::ops
