#pragma once

#include <cstdint>

namespace lithe::ops {

/// The innermost part of row_gemm for one instruction set: `outs` rows of weights times one panel of x.
struct RowGemmKernel {
  int64_t panel = 0;     ///< Columns of a panel (rows of x side by side): two vectors.
  int64_t max_outs = 0;  ///< Weight rows that the registers hold.
  /// sums[o * panel + c] += sum over k < depth of w[o * w_stride + k] * x[k * panel + c].  outs <= max_outs
  void (*add)(const float* w, int64_t w_stride, const float* x, int64_t depth, int64_t outs, float* sums) = nullptr;
};

/// The best kernel of this processor; `add` is null where there is none.
const RowGemmKernel& row_gemm_kernel();

/// Every kernel that this processor can run, for tests.
int64_t row_gemm_kernels(const RowGemmKernel** list);

}  // namespace lithe::ops
