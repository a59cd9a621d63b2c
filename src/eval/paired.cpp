#include "eval/paired.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>
#include <vector>

namespace lithe::eval {
namespace {

constexpr std::size_t kDraws = 2000;

/// Of a fair coin: how likely `a` heads and `b` tails, or a split that is more uneven, are.
double two_sided(int64_t a, int64_t b) {
  const auto all = static_cast<double>(a + b);
  double sum = 0;
  for (int64_t k = 0; k <= std::min(a, b); ++k) {
    const auto heads = static_cast<double>(k);
    const double ways = std::lgamma(all + 1) - std::lgamma(heads + 1) - std::lgamma(all - heads + 1);
    sum += std::exp(ways - all * std::log(2.0));
  }
  return std::min(1.0, 2 * sum);
}

/// The mean differences of as many pairs, drawn with repetition, in order.
std::vector<double> drawn_means(std::span<const ScorePair> pairs, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<double> means(kDraws);
  const auto count = static_cast<uint64_t>(pairs.size());
  for (double& mean : means) {
    double sum = 0, weight = 0;
    for (uint64_t i = 0; i < count; ++i) {
      const ScorePair& pair = pairs[random() % count];
      sum += pair.weight * (pair.second - pair.first);
      weight += pair.weight;
    }
    mean = sum / weight;
  }
  std::sort(means.begin(), means.end());
  return means;
}

}  // namespace

Paired paired(std::span<const ScorePair> pairs, uint64_t seed, const PairedUnit& unit) {
  Paired result{.questions = static_cast<int64_t>(pairs.size())};
  double weight = 0;
  for (const ScorePair& pair : pairs) {
    result.first += pair.weight * pair.first;
    result.second += pair.weight * pair.second;
    weight += pair.weight;
    result.only_first += pair.first > pair.second ? 1 : 0;
    result.only_second += pair.second > pair.first ? 1 : 0;
  }
  if (unit.fewer_is_better) std::swap(result.only_first, result.only_second);
  result.first *= unit.scale / weight;
  result.second *= unit.scale / weight;
  result.difference = result.second - result.first;
  const std::vector<double> means = drawn_means(pairs, seed);
  result.low = unit.scale * means[kDraws / 40];
  result.high = unit.scale * means[kDraws - 1 - kDraws / 40];
  result.p = two_sided(result.only_first, result.only_second);
  return result;
}

}  // namespace lithe::eval
