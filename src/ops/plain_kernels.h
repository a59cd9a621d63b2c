#pragma once

#include <cstdint>

// Loops over float32 arrays, built for every vector set (base/vector_set.h). Callers check shapes and split the work.
namespace lithe::ops {

/// y[r] = x[r] * rsqrt(mean(x[r]^2) + eps) * gain for `rows` rows of `width`.
void rms_norm_rows(const float* x, const float* gain, float eps, int64_t rows, int64_t width, float* y);

/// gate = silu(gate) * up, in place.
void swiglu_in_place(float* gate, const float* up, int64_t count);

/// x = x * sigmoid(1.702 x), in place.
void quick_gelu_in_place(float* x, int64_t count);

/// Rotates `heads` heads of `width` in place by the angles of one row: cosine, sine: [width / 2]. Halves, as LLaMA in
/// transformers.
void rotate_row(float* x, const float* cosine, const float* sine, int64_t heads, int64_t width);

}  // namespace lithe::ops
