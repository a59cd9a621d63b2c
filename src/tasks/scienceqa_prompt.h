#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace lithe::tasks {

/// A problem of ScienceQA, as problems.json and the hub's Parquet files have it.
struct ScienceProblem {
  std::string question, hint, caption, subject, grade, lecture, solution;
  std::vector<std::string> choices;
  int64_t answer = 0;  ///< Which choice is right.
  bool has_picture = false;
};

/// Throws Error{bad_file} without the problem's name. `caption` is left empty.
ScienceProblem read_science_problem(const Json& problem);

/// What a prompt holds and what is to be answered: Q question, C context, M choices, L lecture, E solution, A answer.
/// "QCM-ALE": the answer is to be followed by its explanation. "+caption" adds the picture's caption to the context.
struct SciencePrompt {
  std::string input = "QCM", output = "ALE";
  bool caption = false;

  /// Throws Error{bad_request} that lists the forms.
  static SciencePrompt parse(const std::string& text);
};

/// A prompt that ends in "Response:", and the answer that is to follow, as LaVIN writes them.
struct ScienceExample {
  std::string input, output;
};
ScienceExample science_example(const ScienceProblem& problem, const SciencePrompt& prompt);

/// What a chat model is asked in its place: without "Question: " in front and "Response:" at the end.
std::string science_chat_question(const ScienceExample& example);

/// Solved problems as examples, then one to solve, as ScienceQA's own evaluation of GPT-3 writes them.
std::string science_few_shot(const std::vector<ScienceProblem>& shots, const ScienceProblem& asked,
                             const SciencePrompt& prompt);

}  // namespace lithe::tasks
