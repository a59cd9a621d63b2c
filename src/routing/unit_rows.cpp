#include "routing/unit_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <limits>

#include "plan/choosing.h"
#include "routing/index_tensor.h"

namespace lithe::routing {
namespace {

constexpr int64_t kColumns = 8;         // of one pass
constexpr double kLeastLength = 1e-12;  // of a row of zeros

/// On the host, row by row.
std::vector<std::vector<double>> lists_of(const Tensor& matrix) {
  const Tensor host = matrix.to(at::kCPU, at::kDouble).contiguous();
  std::vector<std::vector<double>> lists;
  for (int64_t row = 0; row < host.size(0); ++row) {
    const double* data = host.const_data_ptr<double>() + row * host.size(1);
    lists.emplace_back(data, data + host.size(1));
  }
  return lists;
}

}  // namespace

UnitRows::UnitRows(const Tensor& hidden, std::span<const int64_t> rows)
    : UnitRows(hidden.detach().index_select(0, index_tensor(rows, hidden))) {}

UnitRows::UnitRows(const Tensor& x) {
  const Tensor own = x.detach();
  const Tensor length = own.norm(2, -1, true);
  const Tensor finite = at::isfinite(length);
  unit_ = at::where(finite, own / length.clamp_min(kLeastLength), at::zeros_like(own));
  const Tensor host = finite.to(at::kCPU).contiguous();
  const bool* data = host.const_data_ptr<bool>();
  finite_.assign(data, data + host.numel());
}

std::vector<double> UnitRows::nearest() const {
  std::vector<double> nearest(static_cast<size_t>(count()), -std::numeric_limits<double>::infinity());
  const auto meet = [&](int64_t row, int64_t other, double cosine) {
    if (finite(other)) nearest[static_cast<size_t>(row)] = std::max(nearest[static_cast<size_t>(row)], cosine);
  };
  for (int64_t first = 0; first < count(); first += plan::kBlockRows) {
    const int64_t some = std::min(plan::kBlockRows, count() - first);
    const auto lists = lists_of(unit_.narrow(0, first, some).matmul(unit_.narrow(0, first, count() - first).t()));
    for (int64_t i = 0; i < some; ++i) {
      for (int64_t j = i + 1; j < count() - first; ++j) {
        // Both rows take the same number, so that two rows which are each other's nearest are equal.
        const double cosine = lists[static_cast<size_t>(i)][static_cast<size_t>(j)];
        meet(first + i, first + j, cosine);
        meet(first + j, first + i, cosine);
      }
    }
  }
  return nearest;
}

const std::vector<double>& UnitRows::cosines(int64_t row, const std::function<std::vector<int64_t>(int64_t)>& likely) {
  if (const auto found = columns_.find(row); found != columns_.end()) return found->second;
  std::vector<int64_t> wanted{row};
  for (const int64_t next : likely(kColumns)) {
    if (next != row && std::ssize(wanted) < kColumns) wanted.push_back(next);
  }
  const Tensor columns = unit_.index_select(0, index_tensor(wanted, unit_)).matmul(unit_.t());
  const auto lists = lists_of(columns);
  columns_.clear();
  for (size_t i = 0; i < wanted.size(); ++i) columns_[wanted[i]] = lists[i];
  return columns_[row];
}

}  // namespace lithe::routing
