#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "eval/paired.h"

namespace lithe::eval {

/// Two runs of `lithe eval` over one task.
struct RunPair {
  std::string task, first_model, second_model, first_plan, second_plan;
  bool by_nll = false;            ///< Both runs scored right answers: pairs hold the nll of a token, by their tokens.
  std::vector<ScorePair> scores;  ///< Of the questions that both runs answered, within the limits of both.
  int64_t left_out = 0;           ///< Questions that only one of them answered.
};

/// Throws Error{bad_request} for runs of different tasks or questions, Error{bad_file}.
RunPair read_run_pair(const std::filesystem::path& first, const std::filesystem::path& second);

}  // namespace lithe::eval
