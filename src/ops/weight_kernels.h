#pragma once

#include <cstdint>

#include "ops/weight_view.h"

// Kernels over weights as they are stored, for the chosen vector set (base/vector_set.h).
namespace lithe::ops {

/// to[i] = float32 of the weight of row `out` and column first + i. Of codes, `first` is a multiple of kCodeBlock.
void widen(const WeightView& weight, int64_t out, int64_t first, int64_t count, float* to);

/// Rows that dot_rows takes at once.
constexpr int64_t kMostDotRows = 8;

/// y[r * weight.outs + o] = dot(w[o], x[r]) for r < rows <= kMostDotRows and o from first to last.  x: [rows, width]
void dot_rows(const WeightView& weight, int64_t first, int64_t last, const float* x, int64_t rows, float* y);

}  // namespace lithe::ops
