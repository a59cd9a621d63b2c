#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

namespace lithe::routing {

using at::Tensor;

/// Rows scaled to length 1, and their products with each other: cosines. A row that is not finite counts as zeros.
class UnitRows {
 public:
  /// x: [rows, width]
  explicit UnitRows(const Tensor& x);
  /// `rows` of hidden.  hidden: [.., width]
  UnitRows(const Tensor& hidden, std::span<const int64_t> rows);

  int64_t count() const { return unit_.size(0); }
  bool finite(int64_t row) const { return finite_[static_cast<size_t>(row)]; }
  const Tensor& unit() const { return unit_; }  ///< [rows, width]

  /// Of each row, the largest cosine with another finite row; -infinity if there is none. In blocks of rows: no matrix
  /// of all rows with all rows is held.
  std::vector<double> nearest() const;

  /// The cosines of one row with all rows, [rows]. `likely` gives rows that will probably be asked for next, the best
  /// first: their cosines are computed in the same pass over the rows and kept until the next pass.
  const std::vector<double>& cosines(int64_t row, const std::function<std::vector<int64_t>(int64_t)>& likely);

 private:
  Tensor unit_;
  std::vector<bool> finite_;
  std::map<int64_t, std::vector<double>> columns_;
};

/// The first `count` of the rows that are not taken. before: their order, in which no two rows are equal.
template <class Before>
std::vector<int64_t> first_few(const std::vector<bool>& taken, int64_t count, const Before& before) {
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < std::ssize(taken); ++row) {
    if (!taken[static_cast<size_t>(row)]) rows.push_back(row);
  }
  const auto middle = rows.begin() + std::min<int64_t>(count, std::ssize(rows));
  std::partial_sort(rows.begin(), middle, rows.end(), before);
  rows.erase(middle, rows.end());
  return rows;
}

}  // namespace lithe::routing
