#include "routing/plain_choices.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace lithe::routing {
namespace {

using List = std::vector<int64_t>;

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double cosine(const std::vector<double>& a, const std::vector<double>& b) {
  return dot(a, b) / std::max(std::sqrt(dot(a, a)) * std::sqrt(dot(b, b)), 1e-24);
}

bool holds(const List& list, int64_t row) {
  return std::find(list.begin(), list.end(), row) != list.end();
}

/// The best row that is not among `taken`; rounding apart, of equals the lowest.
template <class Score>
int64_t best(int64_t count, const List& taken, const Score& score) {
  int64_t best = -1;
  double most = 0;
  for (int64_t row = 0; row < count; ++row) {
    if (holds(taken, row)) continue;
    const double own = score(row);
    if (best < 0 || own > most + 1e-12 || (std::isnan(most) && !std::isnan(own))) {
      best = row;
      most = own;
    }
  }
  return best;
}

List sorted(List list) {
  std::sort(list.begin(), list.end());
  return list;
}

/// The determinant of a square matrix, by elimination.
double determinant(Matrix m) {
  double product = 1;
  for (size_t i = 0; i < m.size(); ++i) {
    size_t pivot = i;
    for (size_t row = i; row < m.size(); ++row) {
      if (std::abs(m[row][i]) > std::abs(m[pivot][i])) pivot = row;
    }
    if (m[pivot][i] == 0) return 0;
    if (pivot != i) {
      std::swap(m[pivot], m[i]);
      product = -product;
    }
    product *= m[i][i];
    for (size_t row = i + 1; row < m.size(); ++row) {
      const double times = m[row][i] / m[i][i];
      for (size_t column = i; column < m.size(); ++column) m[row][column] -= times * m[i][column];
    }
  }
  return product;
}

/// Sums of |k| over heads, or the length of the mean over heads.
std::vector<double> key_sums(const at::Tensor& keys) {
  std::vector<double> sums;
  for (int64_t i = 0; i < keys.size(0); ++i) {
    double sum = 0;
    for (int64_t head = 0; head < keys.size(1); ++head)
      for (int64_t d = 0; d < keys.size(2); ++d) sum += std::abs(keys[i][head][d].item<double>());
    sums.push_back(sum);
  }
  return sums;
}

}  // namespace

Matrix matrix_of(const at::Tensor& x) {
  Matrix matrix;
  for (int64_t i = 0; i < x.size(0); ++i) {
    std::vector<double>& row = matrix.emplace_back();
    for (int64_t j = 0; j < x.size(1); ++j) row.push_back(x[i][j].item<double>());
  }
  return matrix;
}

Matrix plain_cosines(const Matrix& rows) {
  Matrix all;
  for (const auto& a : rows) {
    std::vector<double>& line = all.emplace_back();
    for (const auto& b : rows) line.push_back(cosine(a, b));
  }
  return all;
}

List plain_highest(const std::vector<double>& scores, int64_t keep) {
  List chosen;
  while (std::ssize(chosen) < keep)
    chosen.push_back(best(std::ssize(scores), chosen, [&](int64_t row) { return scores[static_cast<size_t>(row)]; }));
  return sorted(chosen);
}

List plain_key_norm(const at::Tensor& keys, int64_t keep) {
  std::vector<double> scores;
  for (int64_t i = 0; i < keys.size(0); ++i) {
    double squares = 0;
    for (int64_t d = 0; d < keys.size(2); ++d) {
      double mean = 0;
      for (int64_t head = 0; head < keys.size(1); ++head)
        mean += keys[i][head][d].item<double>() / static_cast<double>(keys.size(1));
      squares += mean * mean;
    }
    scores.push_back(-std::sqrt(squares));
  }
  return plain_highest(scores, keep);
}

List plain_variation(const Matrix& now, const Matrix& before, int64_t keep) {
  std::vector<double> scores;
  for (size_t i = 0; i < now.size(); ++i) {
    double squares = 0;
    for (size_t d = 0; d < now[i].size(); ++d) squares += std::pow(now[i][d] - before[i][d], 2);
    scores.push_back(std::sqrt(squares));
  }
  return plain_highest(scores, keep);
}

List plain_diversity(const Matrix& rows, int64_t keep) {
  const Matrix cosines = plain_cosines(rows);
  List chosen;
  // The distance of a row to the nearest of some rows.
  const auto distance = [&](int64_t row, const List& some) {
    double nearest = std::numeric_limits<double>::infinity();
    for (const int64_t other : some) {
      if (other != row) nearest = std::min(nearest, 1 - cosines[static_cast<size_t>(row)][static_cast<size_t>(other)]);
    }
    return nearest;
  };
  List all(rows.size());
  std::iota(all.begin(), all.end(), 0);
  while (std::ssize(chosen) < keep) {
    const List& from = chosen.empty() ? all : chosen;
    chosen.push_back(best(std::ssize(rows), chosen, [&](int64_t row) { return distance(row, from); }));
  }
  return sorted(chosen);
}

List plain_relevance(const Matrix& rows, const Matrix& text, int64_t keep) {
  std::vector<double> match;
  for (const auto& row : rows) {
    double mean = 0;
    for (const auto& word : text) mean += cosine(row, word) / static_cast<double>(text.size());
    match.push_back(mean);
  }
  const auto [least, most] = std::minmax_element(match.begin(), match.end());
  const double low = *least, high = *most;
  for (double& m : match) m = text.empty() || high <= low ? 1.0 : (m - low + 1e-6) / (high - low);
  const auto kernel = [&](int64_t a, int64_t b) {
    const auto i = static_cast<size_t>(a), j = static_cast<size_t>(b);
    return match[i] * match[j] * cosine(rows[i], rows[j]);
  };
  const auto volume = [&](const List& some) {
    Matrix m;
    for (const int64_t a : some) {
      std::vector<double>& line = m.emplace_back();
      for (const int64_t b : some) line.push_back(kernel(a, b));
    }
    return some.empty() ? 1.0 : determinant(m);
  };
  List chosen;
  bool used_up = false;
  while (std::ssize(chosen) < keep) {
    const double before = used_up ? 0 : volume(chosen);
    // What a row adds to the determinant, relative to what is there.
    const auto gain = [&](int64_t row) {
      List more = chosen;
      more.push_back(row);
      return volume(more) / before;
    };
    int64_t row = used_up ? -1 : best(std::ssize(rows), chosen, gain);
    if (row >= 0 && gain(row) <= 1e-9) used_up = true;
    if (used_up) row = best(std::ssize(rows), chosen, [&](int64_t i) { return match[static_cast<size_t>(i)]; });
    chosen.push_back(row);
  }
  return sorted(chosen);
}

List PlainDart::choose(int64_t keep) const {
  if (keep == 0) return {};
  const std::vector<double> own = key_sums(keys), words = key_sums(text_keys);
  const List pivots = plain_highest(own, std::min<int64_t>({4, keep, std::ssize(own)}));
  const List asking = plain_highest(words, std::min<int64_t>(4, std::ssize(words)));
  Matrix all;
  for (const int64_t i : pivots) all.push_back(rows[static_cast<size_t>(i)]);
  for (const int64_t i : asking) all.push_back(text[static_cast<size_t>(i)]);
  List chosen = pivots;
  const int64_t rest = keep - std::ssize(pivots), count = std::ssize(all);
  for (int64_t p = 0; p < count; ++p) {
    for (int64_t i = 0; i < rest / count + (p < rest % count ? 1 : 0); ++i) {
      chosen.push_back(best(std::ssize(rows), chosen, [&](int64_t row) {
        return -cosine(rows[static_cast<size_t>(row)], all[static_cast<size_t>(p)]);
      }));
    }
  }
  return sorted(chosen);
}

}  // namespace lithe::routing
