#include <numeric>

#include "routing/selector.h"

namespace lithe::routing {

/// The first rows: enough for a class token if nobody reads the others.
std::vector<int64_t> choose_first(const Candidates& candidates) {
  std::vector<int64_t> rows(static_cast<size_t>(candidates.keep));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

}  // namespace lithe::routing
