#include "models/generation_config.h"

namespace lithe::models {

bool TokenRules::any() const {
  return min_length > 0 || min_new_tokens > 0 || no_repeat_ngram_size > 0 || !suppress_tokens.empty() ||
         !begin_suppress_tokens.empty() || !biases.empty() || forced_bos_token_id || !forced_eos_token_id.empty() ||
         exponential_decay_length_penalty;
}

}  // namespace lithe::models
