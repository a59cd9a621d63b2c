#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lithe::models {

/// Added to the logit of the last id wherever the ids before it end the tokens so far; minus infinity forbids it.
struct SequenceBias {
  std::vector<int64_t> ids;
  double bias = 0;
};

/// From so many tokens on, each further token makes the logit of EOS grow by this factor.
struct EosGrowth {
  int64_t start = 0;
  double factor = 1;
};

/// What generation_config.json demands of the next token besides how it is drawn; named and meant as in transformers.
struct TokenRules {
  int64_t min_length = 0;      ///< Of prompt and answer together.
  int64_t min_new_tokens = 0;  ///< No EOS before.
  int64_t no_repeat_ngram_size = 0;
  std::vector<int64_t> suppress_tokens, begin_suppress_tokens;
  std::vector<SequenceBias> biases;  ///< sequence_bias, and bad_words_ids.
  std::optional<int64_t> forced_bos_token_id;
  std::vector<int64_t> forced_eos_token_id;  ///< One of them is the last token that may be made.
  std::optional<EosGrowth> exponential_decay_length_penalty;

  bool any() const;
};

/// generation_config.json, as far as it is obeyed.
struct GenerationDefaults {
  std::optional<int64_t> max_new_tokens;
  std::optional<int64_t> max_length;  ///< Of prompt and answer together; max_new_tokens wins.
  bool sample = false;
  double temperature = 1.0, top_p = 1.0, min_p = 0.0, repetition_penalty = 1.0;
  int64_t top_k = 0;
  TokenRules rules;
  std::vector<std::string> stop_strings;
  std::vector<std::string> not_obeyed;  ///< "num_beams 4": keys that would change the answer in transformers.
};

}  // namespace lithe::models
