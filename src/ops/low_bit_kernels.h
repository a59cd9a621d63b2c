#pragma once

#include <cstdint>

#include "ops/weight_view.h"

// Kernels over codes of 8 and 4 bits, for the chosen vector set. ops/weight_kernels.h calls them.
namespace lithe::ops {

/// to[i] = the weight of row `out` and column first + i. `first` is a multiple of kCodeBlock.
void widen_codes(const WeightView& weight, int64_t out, int64_t first, int64_t count, float* to);

/// As dot_rows.
void dot_codes(const WeightView& weight, int64_t first, int64_t last, const float* x, int64_t rows, float* y);

}  // namespace lithe::ops
