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

// For training, in float32 and float64.

template <class T>
struct SwigluRows {
  const T *gate, *up;  ///< [count, width]
  const T* weight;     ///< [count], or null: 1
  int64_t count, width;
};

template <class T>
struct SwigluGradient {
  T *gate, *up;  ///< [count, width]
  T* weight;     ///< [count], or null: it is not asked for
};

/// y = silu(gate) * up * weight of the row.
template <class T>
void swiglu_rows(const SwigluRows<T>& rows, T* y);

/// From the gradient of y.
template <class T>
void swiglu_gradient(const SwigluRows<T>& rows, const T* gradient, const SwigluGradient<T>& to);

template <class T>
struct RmsNormRows {
  const T* x;     ///< [count, width]
  const T* gain;  ///< [width]
  double eps;
  int64_t count, width;
};

template <class T>
struct RmsNormGradient {
  T* x;      ///< [count, width]
  T* scale;  ///< [count] receives 1 / sqrt(mean(x^2) + eps)
};

/// From the gradient of rms_norm.
template <class T>
void rms_norm_gradient(const RmsNormRows<T>& rows, const T* gradient, const RmsNormGradient<T>& to);

/// Adds the gradient of gain[first, end) of all rows, whose `scale` rms_norm_gradient gave.
template <class T>
void rms_norm_gain_gradient(const RmsNormRows<T>& rows, const T* gradient, const T* scale, int64_t first, int64_t end,
                            T* gain);

}  // namespace lithe::ops
