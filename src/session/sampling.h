#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace lithe::session {

/// Added to the logit of a token.
struct TokenBias {
  int64_t id = 0;
  double bias = 0;
};

/// How the next token is drawn from the logits. temperature 0 is greedy. First biases and penalties change the logits,
/// in vLLM's order: biases, repetition, frequency, presence. Then the filters apply in the order that transformers
/// uses: temperature, top-k, top-p, min-p.
struct SamplingPolicy {
  double temperature = 0.0;
  int64_t top_k = 0;                ///< 0: all tokens.
  double top_p = 1.0;               ///< Nucleus (arXiv 1904.09751).
  double min_p = 0.0;               ///< Share of the best token's probability (arXiv 2407.01082).
  double repetition_penalty = 1.0;  ///< Over prompt and answer (arXiv 1909.05858); 1: none.
  double frequency_penalty = 0.0;   ///< Taken off the logit of a token for each time that the answer holds it.
  double presence_penalty = 0.0;    ///< Taken off the logit of a token that the answer holds.
  std::vector<TokenBias> biases;
  uint64_t seed = 0;
};

/// Throws Error{bad_request} with the name of a value out of range.
void check(const SamplingPolicy& policy);

/// Divides positive logits and multiplies negative ones of the tokens that were seen, each once.
void penalise(std::vector<float>& logits, std::span<const int64_t> seen, double penalty);

/// Adds the biases. Ids outside the vocabulary are skipped.
void add_biases(std::vector<float>& logits, std::span<const TokenBias> biases);

/// Takes the frequency and the presence penalty off the logits of the tokens of the answer.  made: their ids
void penalise_made(std::vector<float>& logits, std::span<const int64_t> made, const SamplingPolicy& policy);

/// Whether biases, a frequency or a presence penalty change logits.
bool changes_more_than_repeats(const SamplingPolicy& policy);

/// The policy without what changes logits: for logits that are changed already.
SamplingPolicy without_changes(SamplingPolicy policy);

/// The next token under the filters and the repetition penalty of a policy. Ties go to the lowest id. `seen`: ids of
/// prompt and answer, for the repetition penalty; ids outside the vocabulary are skipped.  logits: [vocab] float32.
int64_t sample(std::span<const float> logits, std::span<const int64_t> seen, const SamplingPolicy& policy,
               std::mt19937_64& generator);

}  // namespace lithe::session
