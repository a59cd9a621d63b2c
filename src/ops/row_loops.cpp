#include "ops/row_loops.h"

#include <cmath>
#include <type_traits>

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

template <class T>
LITHE_VECTORISED T sigmoid(T x) {
  if constexpr (std::is_same_v<T, float>) return 1.0f / (1.0f + exp_vectorised(-x));
  return static_cast<T>(1) / (1 + std::exp(-x));
}

template <class T>
LITHE_VECTORISED void swiglu_apart(const SwigluRows<T> rows, T* y) {
  for (int64_t row = 0; row < rows.count; ++row) {
    const T *gate = rows.gate + row * rows.width, *up = rows.up + row * rows.width;
    const T weight = rows.weight ? rows.weight[row] : 1;
    T* const out = y + row * rows.width;
#pragma omp simd
    for (int64_t i = 0; i < rows.width; ++i) out[i] = gate[i] * sigmoid(gate[i]) * up[i] * weight;
  }
}

template <class T>
LITHE_VECTORISED void swiglu_backwards(const SwigluRows<T> rows, const T* gradient, const SwigluGradient<T> to) {
  for (int64_t row = 0; row < rows.count; ++row) {
    const int64_t first = row * rows.width;
    const T *gate = rows.gate + first, *up = rows.up + first, *from = gradient + first;
    T *const gate_to = to.gate + first, *const up_to = to.up + first;
    const T weight = rows.weight ? rows.weight[row] : 1;
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < rows.width; ++i) {
      const T s = sigmoid(gate[i]), silu = gate[i] * s;
      sum += from[i] * silu * up[i];
      gate_to[i] = from[i] * weight * up[i] * (s + silu * (1 - s));
      up_to[i] = from[i] * weight * silu;
    }
    if (to.weight) to.weight[row] = sum;
  }
}

template <class T>
LITHE_VECTORISED void norm_backwards(const RmsNormRows<T> rows, const T* gradient, const RmsNormGradient<T> to) {
  for (int64_t row = 0; row < rows.count; ++row) {
    const T *const x = rows.x + row * rows.width, *const from = gradient + row * rows.width;
    T* const x_to = to.x + row * rows.width;
    double squares = 0, along = 0;  // of x; of the gradient of x / |x| along x
    constexpr int64_t kStretch = 256;
    for (int64_t first = 0; first < rows.width; first += kStretch) {
      const int64_t end = first + kStretch < rows.width ? first + kStretch : rows.width;
      T some_squares = 0, some_along = 0;
#pragma omp simd reduction(+ : some_squares, some_along)
      for (int64_t i = first; i < end; ++i) {
        some_squares += x[i] * x[i];
        some_along += from[i] * rows.gain[i] * x[i];
      }
      squares += static_cast<double>(some_squares);
      along += static_cast<double>(some_along);
    }
    const double mean = squares / static_cast<double>(rows.width), wide_scale = 1 / std::sqrt(mean + rows.eps);
    const auto scale = static_cast<T>(wide_scale);
    const auto back = static_cast<T>(wide_scale * wide_scale * wide_scale * along / static_cast<double>(rows.width));
#pragma omp simd
    for (int64_t i = 0; i < rows.width; ++i) x_to[i] = scale * from[i] * rows.gain[i] - back * x[i];
    to.scale[row] = scale;
  }
}

template <class T>
LITHE_VECTORISED void gain_backwards(const RmsNormRows<T> rows, const T* gradient, const T* scale, int64_t first,
                                     int64_t end, T* gain) {
  for (int64_t row = 0; row < rows.count; ++row) {
    const T *const x = rows.x + row * rows.width, *const from = gradient + row * rows.width;
#pragma omp simd
    for (int64_t i = first; i < end; ++i) gain[i] += from[i] * x[i] * scale[row];
  }
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

template <class T>
void swiglu_rows(const SwigluRows<T>& rows, T* y) {
  run_vectorised<swiglu_apart<T>>(rows, y);
}

template <class T>
void swiglu_gradient(const SwigluRows<T>& rows, const T* gradient, const SwigluGradient<T>& to) {
  run_vectorised<swiglu_backwards<T>>(rows, gradient, to);
}

template <class T>
void rms_norm_gradient(const RmsNormRows<T>& rows, const T* gradient, const RmsNormGradient<T>& to) {
  run_vectorised<norm_backwards<T>>(rows, gradient, to);
}

template <class T>
void rms_norm_gain_gradient(const RmsNormRows<T>& rows, const T* gradient, const T* scale, int64_t first, int64_t end,
                            T* gain) {
  run_vectorised<gain_backwards<T>>(rows, gradient, scale, first, end, gain);
}

template void swiglu_rows(const SwigluRows<float>&, float*);
template void swiglu_rows(const SwigluRows<double>&, double*);
template void swiglu_gradient(const SwigluRows<float>&, const float*, const SwigluGradient<float>&);
template void swiglu_gradient(const SwigluRows<double>&, const double*, const SwigluGradient<double>&);
template void rms_norm_gradient(const RmsNormRows<float>&, const float*, const RmsNormGradient<float>&);
template void rms_norm_gradient(const RmsNormRows<double>&, const double*, const RmsNormGradient<double>&);
template void rms_norm_gain_gradient(const RmsNormRows<float>&, const float*, const float*, int64_t, int64_t, float*);
template void rms_norm_gain_gradient(const RmsNormRows<double>&, const double*, const double*, int64_t, int64_t,
                                     double*);

}  // namespace lithe::ops
