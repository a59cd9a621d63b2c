#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>

namespace lithe::ops {

/// The keys [begin, end) of a sequence that one query sees.
struct Visible {
  int64_t begin = 0, end = 0;

  bool none() const { return begin == end; }
};

/// From the first key that any of the queries sees to the last; `end` is 0 if none of them sees a key.
inline Visible seen_by_any(std::span<const Visible> queries) {
  Visible all{std::numeric_limits<int64_t>::max(), 0};
  for (const Visible& one : queries) {
    if (!one.none()) all = {std::min(all.begin, one.begin), std::max(all.end, one.end)};
  }
  return all;
}

}  // namespace lithe::ops
