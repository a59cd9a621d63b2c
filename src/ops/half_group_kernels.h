#pragma once

#include "ops/weight_view.h"

// Products with int8 codes whose groups are half a block long, as Q6_K of GGUF files has them. The kernels of
// low_bit_kernels.cpp read whole blocks of one group.
namespace lithe::ops {

constexpr int64_t kHalfBlock = kCodeBlock / 2;

/// Whether these kernels take the weight: int8 in groups of kHalfBlock that divide its width, without offsets, if there
/// are vectors at all.
bool has_half_groups(const WeightView& weight);

/// As dot_codes and widen_codes (low_bit_kernels.h).
void dot_half_groups(const WeightView& weight, int64_t first, int64_t last, const float* x, int64_t rows, float* y);
void widen_half_groups(const WeightView& weight, int64_t out, int64_t first, int64_t count, float* to);

}  // namespace lithe::ops
