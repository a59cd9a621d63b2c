#pragma once

#include <cstdint>

#include "ops/row_codes.h"
#include "ops/weight_view.h"

namespace lithe::ops {

/// Rows of x that lie side by side.
constexpr int64_t kCodeRows = 32;
/// The words of a row of weights lie in chunks of so many.
constexpr int64_t kChunkWords = 8;

/// Some groups of columns, of some rows of weights and of a panel of rows of x. Words hold codes of RowCodes' width;
/// those of x are stored plus 128 if they have 8 bits.
struct CodePart {
  int64_t groups = 0, words = 0;     ///< Words of a group: whole chunks.
  int64_t outs = 0;                  ///< Rows of weights.
  const int32_t* weights = nullptr;  ///< [groups, words / kChunkWords, outs, kChunkWords]
  const float* scales = nullptr;     ///< [groups, outs]
  const float* offsets = nullptr;    ///< [groups, outs]; null: all are 0.
  const int32_t* sums = nullptr;     ///< [groups, outs], of 8 bits: the sum of the codes of the group.
  const int32_t* x = nullptr;        ///< [groups, words, kCodeRows]
  const float* x_scales = nullptr;   ///< [groups, kCodeRows]
  const float* x_sums = nullptr;     ///< [groups, kCodeRows]: the sum of the group's values, for offsets.
};

/// Some groups of one row of weights as they are stored. The codes of a group are a multiple of kCodeBlock.
struct CodeRun {
  const char* data = nullptr;
  WeightKind kind = WeightKind::int8;
  int64_t groups = 0, group = 0;
  int64_t ahead = 0;  ///< Bytes to what is prefetched meanwhile.
};

/// Where they go: chunks of words, and the sum of each group if x has 8 bits.
struct CodeWords {
  int32_t* words = nullptr;
  int64_t stride = 0;  ///< Words from a chunk to the next.
  int32_t* sums = nullptr;
  int64_t sums_stride = 0;
};

/// The innermost parts of code_gemm for one instruction set.
struct CodeGemmKernel {
  int64_t max_outs = 0;  ///< Rows of weights that the registers hold.
  /// Unpacks codes of one row of weights to codes of x's width.
  void (*unpack)(const CodeRun& from, RowCodes codes, const CodeWords& to) = nullptr;
  /// y[o * kCodeRows + c] += the sum over groups of scale(o) * x_scale(c) * (codes of o) * (codes of c) + offset(o) *
  /// x_sum(c), for the first `columns` rows of x (half a panel or all of it is computed).
  void (*add)(const CodePart& part, RowCodes codes, int64_t columns, float* y) = nullptr;
};

/// The kernel of the chosen vector set. Every processor has one.
const CodeGemmKernel& code_gemm_kernel();

}  // namespace lithe::ops
