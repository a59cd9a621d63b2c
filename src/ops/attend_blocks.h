#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/attend.h"

namespace lithe::ops {

/// attend_packed by kernels of our own that read keys and values in their blocks: float32 rows on the CPU, without
/// gradients. One parallel loop runs over all sequences, heads and stretches of keys. How the work of a sequence is cut
/// depends on this sequence alone, so neither the number of threads nor the rest of the batch changes its bits.
/// -> [rows, heads, head_dim]
Tensor attend_blocks(const PackedQueries& queries, const std::vector<KeyValueView>& views,
                     const AttendOptions& options);

}  // namespace lithe::ops
