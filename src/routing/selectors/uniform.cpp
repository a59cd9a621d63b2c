#include "routing/selector.h"

namespace lithe::routing {

/// A baseline: rows at equal distances, each in the middle of its stretch.
std::vector<int64_t> choose_uniformly(const Candidates& candidates) {
  const int64_t rows = static_cast<int64_t>(candidates.rows.size());
  std::vector<int64_t> chosen(static_cast<size_t>(candidates.keep));
  for (int64_t i = 0; i < candidates.keep; ++i)
    chosen[static_cast<size_t>(i)] = (2 * i + 1) * rows / (2 * candidates.keep);
  return chosen;
}

}  // namespace lithe::routing
