#pragma once

#include <cstdint>

#include "ops/code_gemm_kernels.h"
#include "ops/weight_view.h"

namespace lithe::ops {

/// y = x w^T for weights that are codes, by products of whole numbers.  x: [rows, width], y: [rows, outs], both
/// contiguous float32. Rows of x are rounded to codes too, with a scale for each row and group of at most 256 columns;
/// sums over a group are exact. With 16 bits, what is left out is under 2^-16 of the largest value of a group. With 8
/// bits it is under 2^-8. A value of x that is not finite makes its row NaN. Splits the work over LibTorch's threads.
/// The weights must be taken_by_code_gemm.
void code_gemm(const float* x, int64_t rows, const WeightView& weight, RowCodes codes, float* y);

/// Whether code_gemm takes these weights: codes in groups that it can cut into its own.
bool taken_by_code_gemm(const WeightView& weight);

/// Whether the chosen vector set multiplies whole numbers fast (AVX512-VNNI). Without it code_gemm is right, but slow.
bool has_code_gemm();

}  // namespace lithe::ops
