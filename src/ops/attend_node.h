#pragma once

#include <vector>

#include "ops/attend.h"

namespace lithe::ops {

/// Whether attend_node takes these: on the CPU, with a gradient to find, and nothing from a cache.
bool takes_attend_node(const PackedQueries& queries, const std::vector<KeyValueView>& views);

/// attend_packed as one node of autograd. If there are many sequences, each is computed by one thread: a training batch
/// of short ones is no work to share among threads, and gradients of all rows are not formed anew for each of them.
Tensor attend_node(const PackedQueries& queries, const std::vector<KeyValueView>& views, const AttendOptions& options);

}  // namespace lithe::ops
