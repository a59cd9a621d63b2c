#pragma once

#include <cstdint>

#include "ops/key_value_kind.h"
#include "ops/visible.h"

// The inner loops of attention, for the chosen vector set (base/vector_set.h).
namespace lithe::ops {

/// Query rows of one kv head and what they have seen so far: out / sum is the answer, and sum * exp(peak) the sum of
/// all exponentials.
struct AttendTile {
  int64_t rows = 0, width = 0;
  const float* queries = nullptr;    ///< [rows, width], scaled
  uint32_t* query_pairs = nullptr;   ///< [rows, pairs_of(width), 2], scratch (ops/attend_pairs.h)
  const Visible* visible = nullptr;  ///< [rows], rows of the sequence's keys
  float* peak = nullptr;             ///< [rows] the largest score, -infinity at first
  float* sum = nullptr;              ///< [rows] of exp(score - peak), 0 at first
  float* out = nullptr;              ///< [rows, width] of exp(score - peak) * value, 0 at first
  float* scores = nullptr;           ///< [rows, kBlockRows], scratch
  float* widened = nullptr;          ///< [2, kBlockRows * width], scratch
};

/// One head's part of a block (BlockedRows).
struct HeadBlock {
  const void* data = nullptr;  ///< Keys, then values; of int8, then their scales.
  KeyValueKind kind = KeyValueKind::float32;
  int64_t first = 0;  ///< Which of the sequence's keys is the block's first.
  int64_t rows = 0;   ///< Rows of the block that are defined.
};

/// Lets the queries see the keys of one block. A query that sees none of them stays as it is; NaN in a query, or in a
/// key or value that it sees, reaches `out`.
void attend_to_block(const AttendTile& tile, const HeadBlock& block);

}  // namespace lithe::ops
