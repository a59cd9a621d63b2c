#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/attend.h"

namespace lithe::ops {

/// About how many query rows of one kv head go through the keys together. Each tile widens or pairs bfloat16 blocks
/// again, so there more rows share that work.
constexpr int64_t tile_rows(KeyValueKind kind) {
  return kind == KeyValueKind::float32 ? 48 : 144;
}
/// Keys that one piece of work covers if a sequence has queries for one tile only. Each stretch then keeps its own sums
/// until they are merged.
constexpr int64_t kStretchRows = 512;

/// attend_packed by our own kernels, which read keys and values in their blocks: float32 rows on the CPU, without
/// gradients. One parallel loop runs over all sequences, heads and stretches of keys. How the work of a sequence is cut
/// depends on this sequence alone, so neither the number of threads nor the rest of the batch changes its bits.
/// -> [rows, heads, head_dim]
Tensor attend_blocks(const PackedQueries& queries, const std::vector<KeyValueView>& views,
                     const AttendOptions& options);

}  // namespace lithe::ops
