#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tasks/scienceqa_prompt.h"

namespace lithe::tasks {

/// How the letter of a choice is read from an answer.
enum class ScienceRule {
  llava,      ///< A lone letter A .. E; or "X. .." ; or exactly one "answer is X." in it.
  lavin,      ///< The first "The answer is X.".
  lavin_eas,  ///< The same, else the first of A .. E that another character follows.
};

/// The letter, which may be that of no choice; absent: none can be read. After each pattern's letter there must be one
/// character more, whichever it is, but not a new line.
std::optional<char> science_letter(const std::string& answer, ScienceRule rule);

/// The choice of a letter; absent if the problem has none of that letter.
std::optional<int64_t> science_choice(std::optional<char> letter, const ScienceProblem& problem);

/// A column of ScienceQA's table, in percent.
struct ScienceColumn {
  std::string name;  ///< "NAT", ..
  int64_t right = 0, questions = 0;
  double percent() const {
    return questions == 0 ? 0 : 100.0 * static_cast<double>(right) / static_cast<double>(questions);
  }
};

/// An answered problem.
struct ScienceMark {
  const ScienceProblem* problem = nullptr;
  bool right = false;
};

/// NAT, SOC, LAN, TXT, IMG, NO, G1-6, G7-12 and AVG.
std::vector<ScienceColumn> science_table(std::span<const ScienceMark> marks);

}  // namespace lithe::tasks
