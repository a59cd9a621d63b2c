#pragma once

#include <cstdint>

#include "ops/weight_view.h"

namespace lithe::ops {

/// y = x w^T.  x: [rows, width], y: [rows, outs], both contiguous float32. Splits the work over
/// LibTorch's threads. The tiles multiply bfloat16 and add in float32, so x is taken as the sum of two bfloat16, and so
/// is a weight of another type: what is left out is under 2^-16 of a product, which is the rounding of a float32 sum of
/// some thousand terms.
void tile_gemm(const float* x, int64_t rows, const WeightView& weight, float* y);

/// Whether the chosen vector set has tiles (AMX-BF16). Without them tile_gemm is right, but slow.
bool has_tile_gemm();

}  // namespace lithe::ops
