#include "eval/paired.h"

#include <algorithm>
#include <cmath>
#include <random>
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

/// The means of as many differences, drawn with repetition, in order.
std::vector<double> drawn_means(const std::vector<double>& differences, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<double> means(kDraws);
  const auto count = static_cast<uint64_t>(differences.size());
  for (double& mean : means) {
    double sum = 0;
    for (uint64_t i = 0; i < count; ++i) sum += differences[random() % count];
    mean = sum / static_cast<double>(count);
  }
  std::sort(means.begin(), means.end());
  return means;
}

}  // namespace

Paired paired(std::span<const ScorePair> pairs, uint64_t seed) {
  Paired result{.questions = static_cast<int64_t>(pairs.size())};
  std::vector<double> differences;
  for (const ScorePair& pair : pairs) {
    result.first += pair.first;
    result.second += pair.second;
    result.only_first += pair.first > pair.second ? 1 : 0;
    result.only_second += pair.second > pair.first ? 1 : 0;
    differences.push_back(pair.second - pair.first);
  }
  const double scale = 100 / static_cast<double>(pairs.size());
  result.first *= scale;
  result.second *= scale;
  result.difference = result.second - result.first;
  const std::vector<double> means = drawn_means(differences, seed);
  result.low = 100 * means[kDraws / 40];
  result.high = 100 * means[kDraws - 1 - kDraws / 40];
  result.p = two_sided(result.only_first, result.only_second);
  return result;
}

}  // namespace lithe::eval
