#include "session/token_rules.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "session/sampling.h"

namespace lithe::session {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

float* logit_of(std::vector<float>& logits, int64_t id) {
  const bool known = id >= 0 && id < static_cast<int64_t>(logits.size());
  return known ? &logits[static_cast<size_t>(id)] : nullptr;
}

void forbid(std::vector<float>& logits, std::span<const int64_t> ids) {
  for (const int64_t id : ids) {
    if (float* logit = logit_of(logits, id)) *logit = kForbidden;
  }
}

/// Only these can be chosen.
void force(std::vector<float>& logits, std::span<const int64_t> ids) {
  std::fill(logits.begin(), logits.end(), kForbidden);
  for (const int64_t id : ids) {
    if (float* logit = logit_of(logits, id)) *logit = 0;
  }
}

/// `forbidding`: sequence_bias comes before the repetition penalty, what forbids after it.
void add_biases(const std::vector<models::SequenceBias>& biases, std::span<const int64_t> ids, bool forbidding,
                std::vector<float>& logits) {
  for (const auto& [sequence, bias] : biases) {
    const auto before = std::span(sequence).first(sequence.size() - 1);
    if (std::isinf(bias) != forbidding || before.size() > ids.size()) continue;
    if (!std::equal(before.begin(), before.end(), ids.end() - static_cast<std::ptrdiff_t>(before.size()))) continue;
    if (float* logit = logit_of(logits, sequence.back())) *logit += static_cast<float>(bias);
  }
}

/// Forbids each token that would repeat a sequence of `size` tokens.
void forbid_repeats(std::span<const int64_t> ids, int64_t size, std::vector<float>& logits) {
  const auto length = static_cast<int64_t>(ids.size());
  if (size < 1 || length < size) return;
  const auto prefix = static_cast<size_t>(size - 1);
  const auto end = ids.last(prefix);
  for (size_t start = 0; start + prefix < ids.size(); ++start) {
    if (std::equal(end.begin(), end.end(), ids.begin() + static_cast<std::ptrdiff_t>(start)))
      forbid(logits, ids.subspan(start + prefix, 1));
  }
}

void grow_eos(const models::EosGrowth& growth, const AnswerSoFar& so_far, std::vector<float>& logits) {
  if (so_far.made <= growth.start) return;
  const double past = static_cast<double>(so_far.made) - static_cast<double>(growth.start);
  // Finite, or a logit of 0 would become NaN.
  constexpr double kMost = std::numeric_limits<float>::max();
  const auto share = static_cast<float>(std::clamp(std::pow(growth.factor, past) - 1, -kMost, kMost));
  for (const int64_t id : so_far.eos_ids) {
    float* logit = logit_of(logits, id);
    if (logit && std::isfinite(*logit)) *logit += std::abs(*logit) * share;
  }
}

}  // namespace

void apply_rules(const models::TokenRules& rules, const AnswerSoFar& so_far, double repetition_penalty,
                 std::vector<float>& logits) {
  const int64_t length = so_far.prompt_rows + so_far.made;
  add_biases(rules.biases, so_far.ids, false, logits);
  if (repetition_penalty != 1.0) penalise(logits, so_far.ids, repetition_penalty);
  forbid_repeats(so_far.ids, rules.no_repeat_ngram_size, logits);
  add_biases(rules.biases, so_far.ids, true, logits);
  if (length < rules.min_length || so_far.made < rules.min_new_tokens) forbid(logits, so_far.eos_ids);
  if (rules.forced_bos_token_id && length == 1) force(logits, {{*rules.forced_bos_token_id}});
  if (!rules.forced_eos_token_id.empty() && so_far.made + 1 == so_far.most) force(logits, rules.forced_eos_token_id);
  if (rules.exponential_decay_length_penalty) grow_eos(*rules.exponential_decay_length_penalty, so_far, logits);
  forbid(logits, rules.suppress_tokens);
  // After a prompt of one token whose next one is forced, the beginning is the one after that.
  const int64_t begin = so_far.prompt_rows > 1 || !rules.forced_bos_token_id ? 0 : 1;
  if (so_far.made == begin) forbid(logits, rules.begin_suppress_tokens);
}

}  // namespace lithe::session
