#pragma once

#include <cstdint>

#include "ops/row_codes.h"
#include "ops/weight_view.h"

namespace lithe::ops {

/// The product of code_gemm (ops/code_gemm.h) for few rows of x. There a vector holds one column of many rows of x.
/// Here it holds one column of many rows of the weights, so that no part of it stays empty: the weights are read once,
/// and turned in the first-level cache. With AVX512-VNNI both give the same bits, for any number of rows. Without it,
/// rows are rounded to 16 bits, whatever `codes` says. The weights must be taken_by_code_gemm.
void few_code_rows(const float* x, int64_t rows, const WeightView& weight, RowCodes codes, float* y);

/// Whether the chosen vector set has kernels for it.
bool has_few_code_rows();

}  // namespace lithe::ops
