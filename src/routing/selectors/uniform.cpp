#include "plan/rows.h"
#include "routing/selector.h"

namespace lithe::routing {

/// A baseline: rows at equal distances, each in the middle of its stretch.
std::vector<int64_t> choose_uniformly(const Candidates& candidates) {
  return plan::spread_rows(static_cast<int64_t>(candidates.rows.size()), candidates.keep);
}

}  // namespace lithe::routing
