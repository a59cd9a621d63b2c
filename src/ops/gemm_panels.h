#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

#include "ops/panels_ahead.h"

// What products have in common that pack rows of x into panels and go through the weights in stripes of rows.
namespace lithe::ops {

/// How many rows are packed at a time: whole panels, in equal parts of at most about `most`.
inline int64_t rows_at_once(int64_t rows, int64_t panel, int64_t most) {
  const int64_t parts = std::max<int64_t>((rows + most - 1) / most, 1), panels = (rows + panel - 1) / panel;
  return std::max<int64_t>((panels + parts - 1) / parts, 1) * panel;
}

/// Runs stripe(first, last) over all rows of the weights, on LibTorch's threads, in multiples of `at_once`.
template <class Stripe>
void for_stripes(int64_t outs, int64_t at_once, const Stripe& stripe) {
  at::parallel_for(0, (outs + at_once - 1) / at_once, 1,
                   [&](int64_t begin, int64_t end) { stripe(begin * at_once, std::min(end * at_once, outs)); });
}

/// sums: [panels, outs, panel] -> some columns of y, [rows, stride]
inline void write_panels(const float* sums, int64_t panel, int64_t rows, int64_t outs, float* y, int64_t stride) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* const in = sums + row / panel * outs * panel + row % panel;
    float* const out = y + row * stride;
    for (int64_t o = 0; o < outs; ++o) out[o] = in[o * panel];
  }
}

/// sums: [rows, kPanelRows] -> the first `outs` columns of each row, into rows of y, [rows, stride]
template <class Sums>
void copy_panel(const Sums& sums, int64_t outs, float* y, int64_t stride) {
  const auto rows = static_cast<int64_t>(sums.size()) / kPanelRows;
  for (int64_t r = 0; r < rows; ++r) std::copy_n(sums.data() + r * kPanelRows, outs, y + r * stride);
}

}  // namespace lithe::ops
