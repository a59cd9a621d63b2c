#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ops/attend.h"

namespace lithe::ops {

/// Queries of one sequence that one call of LibTorch's attention takes, and the keys that any of them sees.
struct AttendPiece {
  int64_t begin = 0, count = 0;   ///< Of the sequence's queries.
  int64_t first = 0, length = 0;  ///< Of its keys; without a key the queries get 0.
  bool causal = false;            ///< Query i sees the keys up to i, and there is no mask.
  std::optional<Tensor> mask;     ///< [count, length], 0 or -inf; a blind query has a row of zeros.
  std::optional<Tensor> sighted;  ///< [count, 1, 1], 0 for blind queries; absent if there are none.
};

/// The pieces of a sequence, without masks of more than 256 queries.  positions: of its queries; like: their type
std::vector<AttendPiece> pieces_of(std::span<const int64_t> positions, const KeyValueView& view,
                                   const AttendOptions& options, const Tensor& like);

/// Heads in the form that LibTorch's attention takes. If heads share keys, the key-value heads become the batch, and
/// the keys are not repeated.  queries: [rows, heads, d] -> [kv_heads, heads / kv_heads, rows, d], or [1, heads, rows,
/// d] if no heads share keys
Tensor laid_queries(const Tensor& queries, int64_t kv_heads);
/// keys: [length, kv_heads, d] -> [kv_heads, heads / kv_heads, length, d] or [1, heads, length, d]
Tensor laid_keys(const Tensor& keys, int64_t heads);
/// The other way round.  -> [rows, heads, d]
Tensor rows_of_laid(const Tensor& laid);

}  // namespace lithe::ops
