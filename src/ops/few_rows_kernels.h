#pragma once

#include <cstdint>

#include "ops/panels_ahead.h"
#include "ops/row_codes.h"
#include "ops/weight_view.h"

// Products of few rows of x: a vector holds numbers of 16 rows of the weights, so that none of it stays empty. For that
// the weights are turned, word by word, into panels of kPanelRows rows that lie side by side. The innermost loop widens
// them in registers, for all rows of x.
namespace lithe::ops {

/// Neighbouring rows of weights as they are stored: some bytes of each.
struct StoredRows {
  const char* data = nullptr;  ///< Of the first row.
  int64_t rows = 0;            ///< At most kPanelRows.
  int64_t row_bytes = 0;       ///< From a row to the next.
  int64_t bytes = 0;           ///< What is read of a row.
};

/// Bytes of a row that are turned at a time, as so many words.
constexpr int64_t kRunBytes = 64, kRunWords = 16;

/// What words of a panel become in the kernels: parts, of which each is multiplied with one word of x.
constexpr int64_t parts_of(WeightKind kind, RowCodes codes) {
  switch (kind) {
    case WeightKind::float32:
      return 1;
    case WeightKind::bfloat16:
    case WeightKind::float16:
      return 2;
    case WeightKind::int8:
    case WeightKind::int4:
      return 4 / codes_in_word(codes) * (kind == WeightKind::int4 ? 2 : 1);
  }
  return 0;
}

/// What is added to codes when they are widened, so that they have no sign if that is simpler.
constexpr int32_t zero_of(WeightKind kind, RowCodes codes) {
  if (kind == WeightKind::int4) return 8;
  return codes == RowCodes::int8 ? 128 : 0;
}

/// Some columns of a panel of weights of a float type, and of rows of x.
struct FloatColumns {
  WeightKind kind = WeightKind::float32;
  int64_t words = 0;               ///< Of the panel.
  const int32_t* panel = nullptr;  ///< [words, kPanelRows]
  int64_t rows = 0;
  const float* x = nullptr;      ///< [words, parts, rows]
  PanelsAhead* ahead = nullptr;  ///< What is fetched meanwhile, if anything.
};

/// Some groups of columns of a panel of weights that are codes, and of rows of x.
struct CodeColumns {
  WeightKind kind = WeightKind::int8;
  RowCodes codes = RowCodes::int16;
  int64_t groups = 0, words = 0;   ///< Words of a group of the panel.
  const int32_t* panel = nullptr;  ///< [groups, words, kPanelRows]
  const float* scales = nullptr;   ///< [groups, kPanelRows]
  const float* offsets = nullptr;  ///< [groups, kPanelRows]; null: all are 0.
  int64_t rows = 0;
  const int32_t* x = nullptr;         ///< [groups, words, parts, rows]: codes with a sign, two or four in a word.
  const float* x_scales = nullptr;    ///< [groups, rows]
  const int32_t* x_starts = nullptr;  ///< [groups, rows]: - zero_of * the sum of the codes.
  const float* x_sums = nullptr;      ///< [groups, rows]: the sums of the values, for offsets.
  PanelsAhead* ahead = nullptr;       ///< What is fetched meanwhile, if anything.
};

/// What one instruction set has.
struct FewRowsKernel {
  /// Rows of x that the registers hold.
  int64_t most_code_rows = 0, most_float_rows = 0;
  /// Words -> panel, [words, kPanelRows], with zeros to the end of the last run. Missing rows hold something.
  void (*turn)(const StoredRows& from, int32_t* panel) = nullptr;
  /// y[r * kPanelRows + o] += the products of row r of x and row o of the panel.
  void (*add_codes)(const CodeColumns& columns, float* y) = nullptr;
  /// Null if the set is too small for it to be faster than dot products.
  void (*add_floats)(const FloatColumns& columns, float* y) = nullptr;
};

/// That of the chosen vector set; null if it has none. Without AVX512-VNNI it takes codes of 16 bits only.
const FewRowsKernel* few_rows_kernel();

/// Brings the codes of a group of x into the order of the parts of a panel, `stride` words apart: word `i` of the
/// result is to[i * stride].  words: as round_row makes them, `count` of them. Returns the sum of the codes.
int32_t place_codes(const int32_t* words, int64_t count, WeightKind kind, RowCodes codes, int32_t* to, int64_t stride);

}  // namespace lithe::ops
