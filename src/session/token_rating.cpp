#include "session/token_rating.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lithe::session {

double log_sum_exp(std::span<const float> logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - highest);
  return highest + std::log(sum);
}

TokenRating rating_of(std::span<const float> logits, int64_t chosen, int64_t best) {
  const double log_sum = log_sum_exp(logits);
  const auto rated = [&](int64_t id) { return RatedToken{id, logits[static_cast<size_t>(id)] - log_sum}; };
  TokenRating rating{.chosen = rated(chosen), .best = {}};
  if (best == 0) return rating;
  std::vector<int64_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto count = std::min(best, static_cast<int64_t>(ids.size()));
  std::partial_sort(ids.begin(), ids.begin() + count, ids.end(), [&](int64_t a, int64_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  std::transform(ids.begin(), ids.begin() + count, std::back_inserter(rating.best), rated);
  return rating;
}

}  // namespace lithe::session
