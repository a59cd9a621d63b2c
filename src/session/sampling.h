#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace lithe::session {

/// How the next token is drawn from the logits. temperature 0 is greedy. The filters apply in the order that
/// transformers uses: repetition penalty, temperature, top-k, top-p, min-p.
struct SamplingPolicy {
  double temperature = 0.0;
  int64_t top_k = 0;                ///< 0: all tokens.
  double top_p = 1.0;               ///< Nucleus (arXiv 1904.09751).
  double min_p = 0.0;               ///< Share of the best token's probability (arXiv 2407.01082).
  double repetition_penalty = 1.0;  ///< Over prompt and answer (arXiv 1909.05858); 1: none.
  uint64_t seed = 0;
};

/// Throws Error{bad_request} with the name of a value out of range.
void check(const SamplingPolicy& policy);

/// Divides positive logits and multiplies negative ones of the tokens that were seen, each once.
void penalise(std::vector<float>& logits, std::span<const int64_t> seen, double penalty);

/// The next token. Ties go to the lowest id. `seen`: ids of prompt and answer, for the repetition penalty; ids outside
/// the vocabulary are skipped.  logits: [vocab] float32.
int64_t sample(std::span<const float> logits, std::span<const int64_t> seen, const SamplingPolicy& policy,
               std::mt19937_64& generator);

}  // namespace lithe::session
