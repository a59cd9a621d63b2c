#pragma once

#include <algorithm>
#include <cstdint>

// Rounding to codes of int4, for what makes such codes.
namespace lithe::ops {

inline constexpr float kLeast4 = -8, kMost4 = 7;

/// The nearest whole number between two limits, ties to even. Adding 1.5 * 2^23 leaves no bits after the point.
inline float nearest(float value, float lowest, float highest) {
  constexpr float kWhole = 12582912.0f;
  return (std::min(std::max(value, lowest), highest) + kWhole) - kWhole;
}

/// Weights that share a scale, and how much the squared error of each counts.
struct Int4Group {
  const float* weights;
  const float* counts;
  int64_t count;  // a multiple of kCodeBlock
};

/// The scale of least squared error, of some near the largest magnitude / 8; 0 if all are 0. NaN if a weight is not
/// finite, which then makes every product NaN.
float scale_of(const Int4Group& group);

/// Codes from -8 to 7, two to a byte (ops/weight_view.h).
void pack_int4(const float* codes, int64_t count, uint8_t* packed);

}  // namespace lithe::ops
