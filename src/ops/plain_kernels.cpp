#include "ops/plain_kernels.h"

#include <cmath>

#include "base/vector_set.h"

namespace lithe::ops {
namespace {

/// exp(x) to about 1 ulp of float32, in operations that vectorise: 2^n * p(r), r = x - n ln 2 (Cody and Waite), |r| <=
/// ln 2 / 2.
LITHE_VECTORISED float exp_vectorised(float x) {
  const float clamped = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
  const float shifted = clamped * 1.44269504f + 12582912.0f;  // 1.5 * 2^23 rounds to an integer
  const float n = shifted - 12582912.0f;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  union {
    int32_t bits;
    float value;
  } scale;
  scale.bits = (static_cast<int32_t>(n) + 127) << 23;
  return p * scale.value;
}

/// The sum of squares in stretches, so that rounding does not grow with the width if no vectors split the sum.
LITHE_VECTORISED double sum_of_squares(const float* x, int64_t width) {
  constexpr int64_t kStretch = 256;
  double total = 0;
  for (int64_t first = 0; first < width; first += kStretch) {
    const int64_t end = first + kStretch < width ? first + kStretch : width;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = first; i < end; ++i) sum += x[i] * x[i];
    total += static_cast<double>(sum);
  }
  return total;
}

LITHE_VECTORISED void normalise_rows(const float* x, const float* gain, float eps, int64_t rows, int64_t width,
                                     float* y) {
  for (int64_t row = 0; row < rows; ++row, x += width, y += width) {
    const auto mean = static_cast<float>(sum_of_squares(x, width) / static_cast<double>(width));
    const float scale = 1.0f / std::sqrt(mean + eps);
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) y[i] = gain[i] * (x[i] * scale);
  }
}

LITHE_VECTORISED void swiglu(float* gate, const float* up, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) gate[i] = gate[i] / (1.0f + exp_vectorised(-gate[i])) * up[i];
}

LITHE_VECTORISED void quick_gelu(float* x, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) x[i] = x[i] / (1.0f + exp_vectorised(-1.702f * x[i]));
}

LITHE_VECTORISED void rotate(float* x, const float* cosine, const float* sine, int64_t heads, int64_t width) {
  const int64_t half = width / 2;
  for (int64_t head = 0; head < heads; ++head, x += width) {
#pragma omp simd
    for (int64_t i = 0; i < half; ++i) {
      const float a = x[i], b = x[i + half];
      x[i] = a * cosine[i] - b * sine[i];
      x[i + half] = b * cosine[i] + a * sine[i];
    }
  }
}

}  // namespace

void rms_norm_rows(const float* x, const float* gain, float eps, int64_t rows, int64_t width, float* y) {
  run_vectorised<normalise_rows>(x, gain, eps, rows, width, y);
}

void swiglu_in_place(float* gate, const float* up, int64_t count) {
  run_vectorised<swiglu>(gate, up, count);
}

void quick_gelu_in_place(float* x, int64_t count) {
  run_vectorised<quick_gelu>(x, count);
}

void rotate_row(float* x, const float* cosine, const float* sine, int64_t heads, int64_t width) {
  run_vectorised<rotate>(x, cosine, sine, heads, width);
}

}  // namespace lithe::ops
