#include "session/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace lithe::session {
namespace {

/// A token that may still be drawn.
struct Candidate {
  int64_t id;
  double value;  // first a logit, then a probability
};

int64_t best(std::span<const float> logits) {
  int64_t winner = 0;
  for (size_t i = 1; i < logits.size(); ++i) {
    if (logits[i] > logits[static_cast<size_t>(winner)]) winner = static_cast<int64_t>(i);
  }
  return winner;
}

void to_probabilities(std::vector<Candidate>& candidates) {
  const double highest = candidates.front().value;
  double sum = 0;
  for (Candidate& c : candidates) sum += c.value = std::exp(c.value - highest);
  for (Candidate& c : candidates) c.value /= sum;
}

/// Keeps the smallest head whose probability reaches top_p.  candidates: descending probabilities.
void keep_nucleus(std::vector<Candidate>& candidates, double top_p) {
  double mass = 0;
  size_t count = 0;
  while (count < candidates.size() && (count == 0 || mass < top_p)) mass += candidates[count++].value;
  candidates.resize(count);
}

void keep_likely(std::vector<Candidate>& candidates, double min_p) {
  const double limit = candidates.front().value * min_p;
  const auto cut =
      std::find_if(candidates.begin() + 1, candidates.end(), [limit](const Candidate& c) { return c.value < limit; });
  candidates.erase(cut, candidates.end());
}

int64_t draw(const std::vector<Candidate>& candidates, std::mt19937_64& generator) {
  const double total = std::accumulate(candidates.begin(), candidates.end(), 0.0,
                                       [](double sum, const Candidate& c) { return sum + c.value; });
  // 53 random bits: the same on every standard library, which std::uniform_real_distribution is not.
  double left = static_cast<double>(generator() >> 11) * 0x1.0p-53 * total;
  for (const Candidate& c : candidates) {
    left -= c.value;
    if (left < 0) return c.id;
  }
  return candidates.back().id;
}

}  // namespace

void penalise(std::vector<float>& logits, std::span<const int64_t> seen, double penalty) {
  std::vector<bool> done(logits.size(), false);
  for (const int64_t id : seen) {
    if (id < 0 || id >= static_cast<int64_t>(logits.size()) || done[static_cast<size_t>(id)]) continue;
    done[static_cast<size_t>(id)] = true;
    float& logit = logits[static_cast<size_t>(id)];
    logit = static_cast<float>(logit > 0 ? logit / penalty : logit * penalty);
  }
}

void check(const SamplingPolicy& policy) {
  const auto need = [](bool holds, const char* name, double value, const char* range) {
    require(holds && std::isfinite(value), Fault::bad_request, name, " is ", value, ", it must be ", range);
  };
  need(policy.temperature >= 0, "temperature", policy.temperature, "0 (greedy) or more");
  need(policy.top_k >= 0, "top-k", static_cast<double>(policy.top_k), "0 (all tokens) or more");
  need(policy.top_p > 0 && policy.top_p <= 1, "top-p", policy.top_p, "above 0 and at most 1");
  need(policy.min_p >= 0 && policy.min_p <= 1, "min-p", policy.min_p, "between 0 and 1");
  need(policy.repetition_penalty > 0, "the repetition penalty", policy.repetition_penalty, "above 0");
}

int64_t sample(std::span<const float> logits, std::span<const int64_t> seen, const SamplingPolicy& policy,
               std::mt19937_64& generator) {
  require(!logits.empty(), Fault::internal, "sample: no logits");
  std::vector<float> adjusted;
  if (policy.repetition_penalty != 1.0) {
    adjusted.assign(logits.begin(), logits.end());
    penalise(adjusted, seen, policy.repetition_penalty);
    logits = adjusted;
  }
  if (policy.temperature == 0.0) return best(logits);

  std::vector<Candidate> candidates(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) candidates[i] = {static_cast<int64_t>(i), logits[i] / policy.temperature};
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.value != b.value ? a.value > b.value : a.id < b.id;
  };
  if (policy.top_k > 0 && policy.top_k < static_cast<int64_t>(candidates.size())) {
    std::partial_sort(candidates.begin(), candidates.begin() + policy.top_k, candidates.end(), before);
    candidates.resize(static_cast<size_t>(policy.top_k));
  } else {
    std::sort(candidates.begin(), candidates.end(), before);
  }
  to_probabilities(candidates);
  if (policy.top_p < 1.0) keep_nucleus(candidates, policy.top_p);
  if (policy.min_p > 0.0) keep_likely(candidates, policy.min_p);
  return draw(candidates, generator);
}

}  // namespace lithe::session
