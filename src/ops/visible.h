#pragma once

#include <cstdint>

namespace lithe::ops {

/// The keys [begin, end) of a sequence that one query sees.
struct Visible {
  int64_t begin = 0, end = 0;

  bool none() const { return begin == end; }
};

}  // namespace lithe::ops
