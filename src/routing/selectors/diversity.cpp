#include <algorithm>
#include <limits>

#include "routing/selector.h"
#include "routing/unit_rows.h"

namespace lithe::routing {
namespace {

/// Rows that are not chosen yet, by how near they are to what is chosen.
class Farthest {
 public:
  explicit Farthest(const UnitRows& rows) : near_(rows.nearest()), taken_(near_.size(), false) {
    // A row that is not finite comes after all others.
    for (size_t i = 0; i < near_.size(); ++i) {
      if (!rows.finite(static_cast<int64_t>(i))) near_[i] = std::numeric_limits<double>::infinity();
    }
  }

  /// The farthest row that is not taken; of equals the lowest.
  int64_t row() const { return few(1).front(); }

  /// The `count` farthest.
  std::vector<int64_t> few(int64_t count) const {
    return first_few(taken_, count, [&](int64_t a, int64_t b) {
      const double left = near_[static_cast<size_t>(a)], right = near_[static_cast<size_t>(b)];
      return left != right ? left < right : a < b;
    });
  }

  /// cosines: of `row` with all rows. After the first row, only what is chosen counts.
  void take(int64_t row, const std::vector<double>& cosines) {
    taken_[static_cast<size_t>(row)] = true;
    for (size_t i = 0; i < near_.size(); ++i) {
      if (near_[i] == std::numeric_limits<double>::infinity()) continue;
      near_[i] = first_ ? cosines[i] : std::max(near_[i], cosines[i]);
    }
    first_ = false;
  }

 private:
  std::vector<double> near_;  // the largest cosine with a chosen row; before the first: with any other row
  std::vector<bool> taken_;
  bool first_ = true;
};

}  // namespace

/// DivPrune (arXiv 2503.02175): rows that are far from each other. With the distance 1 - cos(x_i, x_j), the first is
/// the row whose nearest other row is farthest; each further one is the row whose nearest chosen row is farthest.
/// Computes about n (n / 2 + k) products of two rows for k of n, in blocks. Scope: the group.
std::vector<int64_t> choose_for_diversity(const Candidates& candidates) {
  if (candidates.keep == 0) return {};
  UnitRows rows(candidates.hidden, candidates.rows);
  Farthest farthest(rows);
  std::vector<int64_t> chosen;
  while (true) {
    const int64_t row = farthest.row();
    chosen.push_back(row);
    if (std::ssize(chosen) == candidates.keep) break;
    farthest.take(row, rows.cosines(row, [&](int64_t count) { return farthest.few(count); }));
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace lithe::routing
