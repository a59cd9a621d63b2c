#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/generation_config.h"

namespace lithe::session {

/// Where an answer stands when its next token is chosen.
struct AnswerSoFar {
  std::span<const int64_t> ids;      ///< Of prompt and answer; a picture is one id that no token has.
  int64_t prompt_rows = 0;           ///< Pictures counted with all their rows.
  int64_t made = 0;                  ///< Tokens of the answer.
  int64_t most = 0;                  ///< Tokens that may be made.
  std::span<const int64_t> eos_ids;  ///< What ends the answer.
};

/// The logits under the rules of generation_config.json and a repetition penalty (1: none), in the order of
/// transformers' logits processors. What is forbidden gets minus infinity. Ids outside the vocabulary are skipped.
void apply_rules(const models::TokenRules& rules, const AnswerSoFar& so_far, double repetition_penalty,
                 std::vector<float>& logits);

}  // namespace lithe::session
