#pragma once

#include <cstdint>

#include "ops/weight_view.h"

namespace lithe::ops {

/// y = x w^T in float32.  x: [rows, width], y: [rows, outs], both contiguous. Splits the work over LibTorch's threads.
/// Made for tens to some hundreds of rows. There a general product spends its time on rearranging the weights; here
/// they are read once, in their own order, while the block before them is multiplied, and only x is packed. Weights of
/// 16 bits or less are widened a block at a time, in the caches.
void row_gemm(const float* x, int64_t rows, const WeightView& weight, float* y);

/// The gradients of y = x w^T, in the same way.
/// x = y w.  y: [rows, outs], x: [rows, width]
void row_gemm_for_rows(const float* y, int64_t rows, const WeightView& weight, float* x);
/// w = y^T x.  y: [rows, outs], x: [rows, width], weight: [outs, width]
void row_gemm_for_weight(const float* y, const float* x, int64_t rows, int64_t outs, int64_t width, float* weight);

/// Whether the chosen vector set has a kernel for row_gemm (AVX2 or more).
bool has_row_gemm();

}  // namespace lithe::ops
