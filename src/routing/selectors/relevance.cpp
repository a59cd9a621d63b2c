#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "routing/index_tensor.h"
#include "routing/selector.h"
#include "routing/unit_rows.h"

namespace lithe::routing {
namespace {

constexpr double kUsedUp = 1e-9;  // of a row's variance, what rounding may leave
constexpr double kLeast = 1e-6;   // the relevance of the least relevant row

/// How well each row matches the question, from kLeast to about 1: the mean cosine with the text rows, scaled. 1 for
/// every row if there is no text or all match alike.
std::vector<double> relevance(const UnitRows& rows, const Candidates& candidates) {
  std::vector<double> match(static_cast<size_t>(rows.count()), 1.0);
  if (candidates.text.empty()) return match;
  const UnitRows words(candidates.hidden, candidates.text);
  const Tensor cosines = rows.unit().matmul(words.unit().mean(0)).to(at::kCPU, at::kDouble).contiguous();
  const double* data = cosines.const_data_ptr<double>();
  const auto [least, most] = std::minmax_element(data, data + cosines.numel());
  if (*most <= *least) return match;
  for (size_t i = 0; i < match.size(); ++i) match[i] = (data[i] - *least + kLeast) / (*most - *least);
  return match;
}

/// The greedy choice from a determinantal point process with the kernel r_i r_j cos(x_i, x_j): each step takes the row
/// that enlarges the determinant of the chosen rows most, by one more row of a Cholesky factor.
class Determinant {
 public:
  Determinant(UnitRows& rows, std::vector<double> match, int64_t keep)
      : rows_(rows), match_(std::move(match)), left_(match_.size()), taken_(match_.size(), false) {
    factor_ = at::zeros({keep, rows.count()}, at::kDouble);
    for (size_t i = 0; i < left_.size(); ++i)
      left_[i] = rows.finite(static_cast<int64_t>(i)) ? match_[i] * match_[i] : -1.0;
  }

  /// The row with most variance left; of equals the lowest. If no variance is left, the most relevant one.
  int64_t best() const { return few(1).front(); }

  void take(int64_t row) {
    const double variance = left_[static_cast<size_t>(row)];
    if (variance > kUsedUp) subtract(row, std::sqrt(variance));
    taken_[static_cast<size_t>(row)] = true;
    ++steps_;
  }

 private:
  std::vector<int64_t> few(int64_t count) const {
    return first_few(taken_, count, [&](int64_t a, int64_t b) {
      const auto x = static_cast<size_t>(a), y = static_cast<size_t>(b);
      const bool some = left_[x] > kUsedUp, other = left_[y] > kUsedUp;
      if (some != other) return some;
      const double left = some ? left_[x] : worth(x), right = some ? left_[y] : worth(y);
      return left != right ? left > right : a < b;
    });
  }

  double worth(size_t row) const { return rows_.finite(static_cast<int64_t>(row)) ? match_[row] : -1.0; }

  void subtract(int64_t row, double deviation) {
    const std::vector<double>& cosines = rows_.cosines(row, [&](int64_t count) { return few(count); });
    const Tensor before = factor_.narrow(0, 0, steps_);
    const Tensor shared = before.t().matmul(before.select(1, row)).contiguous();  // [rows]
    const double* known = shared.const_data_ptr<double>();
    double* fresh = factor_.select(0, steps_).mutable_data_ptr<double>();
    for (size_t i = 0; i < left_.size(); ++i) {
      fresh[i] = (match_[static_cast<size_t>(row)] * match_[i] * cosines[i] - known[i]) / deviation;
      left_[i] -= fresh[i] * fresh[i];
    }
  }

  UnitRows& rows_;
  std::vector<double> match_;
  std::vector<double> left_;  // the variance of each row that the chosen rows do not explain
  std::vector<bool> taken_;
  Tensor factor_;  // [keep, rows] float64
  int64_t steps_ = 0;
};

}  // namespace

/// A determinantal point process over the rows, weighed by how well they match the question: CDPruner (arXiv
/// 2506.10967) with the text embeddings of the language model in place of those of CLIP's text encoder, which a LLaVA
/// does not have. Kernel r_i r_j cos(x_i, x_j). Computes k n products of two rows and k^2 n / 2 multiply-adds for k of
/// n. Scope: the prompt.
std::vector<int64_t> choose_by_relevance(const Candidates& candidates) {
  if (candidates.keep == 0) return {};
  UnitRows rows(candidates.hidden, candidates.rows);
  Determinant determinant(rows, relevance(rows, candidates), candidates.keep);
  std::vector<int64_t> chosen;
  while (std::ssize(chosen) < candidates.keep) {
    chosen.push_back(determinant.best());
    determinant.take(chosen.back());
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace lithe::routing
