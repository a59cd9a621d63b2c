#pragma once

#include <cstdint>
#include <vector>

#include "tune/stream.h"

namespace lithe::tune {

/// Data sets in two parts that share no record.
struct SplitSets {
  std::vector<WeightedSet> learnt, held_out;
};

/// Keeps about `wanted` records out of the sets, at random and from each set in proportion to its size: at most a fifth
/// of them, at least one. The seed decides alone. Throws Error{bad_request} if there are not two records.
SplitSets hold_out(std::vector<WeightedSet> sets, int64_t wanted, uint64_t seed);

}  // namespace lithe::tune
