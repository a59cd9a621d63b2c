#include "session/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "base/error.h"

namespace lithe::session {
namespace {

/// A token that may still be drawn.
struct Candidate {
  int64_t id;
  double value;  // a logit or a probability
};

int64_t best(std::span<const float> logits) {
  int64_t winner = 0;
  for (size_t i = 1; i < logits.size(); ++i) {
    if (logits[i] > logits[static_cast<size_t>(winner)]) winner = static_cast<int64_t>(i);
  }
  return winner;
}

bool comes_before(const Candidate& a, const Candidate& b) {
  return a.value != b.value ? a.value > b.value : a.id < b.id;
}

/// The tokens from the most to the least likely. They are ordered only as far as they are asked for: most answers need
/// a few of some ten thousand.
class Ranking {
 public:
  /// Logits count from the highest one, so that a temperature near 0 makes no infinity of it. A penalty or a bias may
  /// have made the highest one infinite: no difference of two infinities may come among the values, as it has no order.
  Ranking(std::span<const float> logits, double temperature, int64_t top_k) : heap_(logits.size()) {
    const double highest = logits[static_cast<size_t>(best(logits))];
    for (size_t i = 0; i < logits.size(); ++i) {
      const double logit = logits[i];
      heap_[i] = {static_cast<int64_t>(i), logit == highest ? 0 : (logit - highest) / temperature};
    }
    if (top_k > 0 && top_k < static_cast<int64_t>(heap_.size())) {
      std::nth_element(heap_.begin(), heap_.begin() + top_k, heap_.end(), comes_before);
      heap_.resize(static_cast<size_t>(top_k));
    }
    for (const Candidate& c : heap_) sum_ += std::exp(c.value);
    std::make_heap(heap_.begin(), heap_.end(), comes_after);
  }

  bool empty() const { return heap_.empty(); }

  /// The most likely of those that are left, with its probability.
  Candidate next() {
    std::pop_heap(heap_.begin(), heap_.end(), comes_after);
    const Candidate c = heap_.back();
    heap_.pop_back();
    return {c.id, std::exp(c.value) / sum_};
  }

 private:
  static bool comes_after(const Candidate& a, const Candidate& b) { return comes_before(b, a); }

  std::vector<Candidate> heap_;
  double sum_ = 0;
};

/// The smallest head whose probability reaches top_p, without those that min_p rules out.
std::vector<Candidate> likely(Ranking& ranking, double top_p, double min_p) {
  std::vector<Candidate> kept{ranking.next()};
  double mass = kept.front().value;
  while (!ranking.empty() && mass < top_p) {
    const Candidate c = ranking.next();
    if (c.value < kept.front().value * min_p) break;
    mass += c.value;
    kept.push_back(c);
  }
  return kept;
}

/// In [0, 1), of 53 random bits: the same on every standard library, which std::uniform_real_distribution is not.
double draw(std::mt19937_64& generator) {
  return static_cast<double>(generator() >> 11) * 0x1.0p-53;
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

void add_biases(std::vector<float>& logits, std::span<const TokenBias> biases) {
  for (const auto& [id, bias] : biases) {
    if (id >= 0 && id < static_cast<int64_t>(logits.size()))
      logits[static_cast<size_t>(id)] += static_cast<float>(bias);
  }
}

void penalise_made(std::vector<float>& logits, std::span<const int64_t> made, const SamplingPolicy& policy) {
  if (policy.frequency_penalty == 0.0 && policy.presence_penalty == 0.0) return;
  std::unordered_map<int64_t, int64_t> times;
  for (const int64_t id : made) {
    if (id >= 0 && id < static_cast<int64_t>(logits.size())) ++times[id];
  }
  for (const auto& [id, count] : times) {
    const double less = policy.frequency_penalty * static_cast<double>(count) + policy.presence_penalty;
    float& logit = logits[static_cast<size_t>(id)];
    logit = static_cast<float>(logit - less);
  }
}

bool changes_more_than_repeats(const SamplingPolicy& policy) {
  return !policy.biases.empty() || policy.frequency_penalty != 0.0 || policy.presence_penalty != 0.0;
}

SamplingPolicy without_changes(SamplingPolicy policy) {
  policy.repetition_penalty = 1;
  policy.frequency_penalty = policy.presence_penalty = 0;
  policy.biases.clear();
  return policy;
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
  need(std::abs(policy.frequency_penalty) <= 2, "the frequency penalty", policy.frequency_penalty, "between -2 and 2");
  need(std::abs(policy.presence_penalty) <= 2, "the presence penalty", policy.presence_penalty, "between -2 and 2");
  for (const TokenBias& one : policy.biases)
    need(std::abs(one.bias) <= 100, "a bias of logit_bias", one.bias, "between -100 and 100");
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

  Ranking ranking(logits, policy.temperature, policy.top_k);
  if (policy.top_p == 1.0 && policy.min_p == 0.0) {
    double left = draw(generator);
    Candidate c = ranking.next();
    while ((left -= c.value) >= 0 && !ranking.empty()) c = ranking.next();
    return c.id;
  }
  const std::vector<Candidate> kept = likely(ranking, policy.top_p, policy.min_p);
  double left = draw(generator) * std::accumulate(kept.begin(), kept.end(), 0.0,
                                                  [](double sum, const Candidate& c) { return sum + c.value; });
  const auto drawn = std::find_if(kept.begin(), kept.end(), [&](const Candidate& c) { return (left -= c.value) < 0; });
  return drawn == kept.end() ? kept.back().id : drawn->id;
}

}  // namespace lithe::session
