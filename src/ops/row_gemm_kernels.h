#pragma once

#include <cstdint>

namespace lithe::ops {

/// The depth is processed in chunks of this many columns, a cache line of float32.
constexpr int64_t kChunk = 16;
/// No kernel takes more rows of weights.
constexpr int64_t kMostOuts = 16;

/// Memory that will be read soon: rows of a matrix, `row_bytes` of each, `stride` bytes apart. `lines` cache lines of
/// it are prefetched with every chunk: all at once would delay the loads that are needed now.
struct Ahead {
  const char* row = nullptr;
  int64_t rows = 0, row_bytes = 0, stride = 0;
  int64_t lines = 8;
};

/// The innermost part of row_gemm for one instruction set: `outs` rows of weights times one panel of x.
struct RowGemmKernel {
  int64_t panel = 0;     ///< Columns of a panel (rows of x side by side): two vectors.
  int64_t max_outs = 0;  ///< Weight rows that the registers hold.
  /// sums[o * panel + c] += sum over k < depth of w(o, k) * x[k * panel + c], for the first `columns` of the panel
  /// (half a panel or all of it is computed).  w: [depth / kChunk, outs, kChunk]; depth is a multiple of kChunk, outs
  /// is at most max_outs. Meanwhile `ahead` is prefetched.
  void (*add)(const float* w, const float* x, int64_t depth, int64_t outs, int64_t columns, const Ahead& ahead,
              float* sums) = nullptr;
};

/// The kernel of the chosen vector set; `add` is null if there is none.
const RowGemmKernel& row_gemm_kernel();

}  // namespace lithe::ops
