#pragma once

#include <cstdint>

namespace lithe::ops {

/// How the weights of a product lie in memory.
enum class WeightKind { float32, bfloat16, float16 };

/// A matrix of weights, [outs, width], row-major.
struct WeightView {
  WeightKind kind = WeightKind::float32;
  const void* data = nullptr;
  int64_t outs = 0, width = 0;
};

/// y = x w^T in float32.  x: [rows, width], y: [rows, outs], both contiguous. Splits the work over LibTorch's threads.
/// Made for tens to some hundreds of rows, where a general product spends its time on rearranging the weights: here
/// they are read once, in their own order, and only x is packed. 16-bit weights are widened a block at a time, in the
/// caches.
void row_gemm(const float* x, int64_t rows, const WeightView& weight, float* y);

/// Whether this processor has a kernel for row_gemm (AVX2 with FMA, or AVX-512).
bool has_row_gemm();

}  // namespace lithe::ops
