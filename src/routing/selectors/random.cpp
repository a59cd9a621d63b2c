#include <algorithm>
#include <numeric>
#include <random>

#include "routing/selector.h"

namespace lithe::routing {

/// A baseline: rows drawn without replacement. The draw depends on the seed, the layer and the number of rows only, and
/// is the same on every standard library (std::shuffle is not).
std::vector<int64_t> choose_at_random(const Candidates& candidates) {
  std::vector<int64_t> order(candidates.rows.size());
  std::iota(order.begin(), order.end(), 0);
  std::mt19937_64 generator(candidates.seed * 0x9E3779B97F4A7C15ull + static_cast<uint64_t>(candidates.layer) + 1);
  for (size_t i = 0; i < static_cast<size_t>(candidates.keep); ++i) {
    std::swap(order[i], order[i + generator() % (order.size() - i)]);
  }
  order.resize(static_cast<size_t>(candidates.keep));
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace lithe::routing
