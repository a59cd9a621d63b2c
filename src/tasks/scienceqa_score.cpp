#include "tasks/scienceqa_score.h"

#include <functional>
#include <string_view>

namespace lithe::tasks {
namespace {

bool is_letter(char c, char last) {
  return c >= 'A' && c <= last;
}

/// Where re.findall finds "`front`([A-`last`])." from `at` on; npos if it does not.
std::size_t find_letter(std::string_view text, std::string_view front, char last, std::size_t at) {
  for (; (at = text.find(front, at)) != text.npos; ++at) {
    const std::size_t letter = at + front.size();
    if (letter + 1 < text.size() && is_letter(text[letter], last) && text[letter + 1] != '\n') return letter;
    if (front.empty() && at + 1 >= text.size()) break;
  }
  return text.npos;
}

std::optional<char> first_letter(std::string_view text, std::string_view front, char last) {
  const std::size_t at = find_letter(text, front, last, 0);
  return at == text.npos ? std::nullopt : std::optional(text[at]);
}

std::optional<char> llava_letter(std::string_view text) {
  constexpr std::string_view kFront = "answer is ";
  if (text.size() == 1 && is_letter(text[0], 'E')) return text[0];
  if (text.size() >= 3 && is_letter(text[0], 'E') && text.substr(1, 2) == ". ") return text[0];
  const std::size_t first = find_letter(text, kFront, 'Z', 0);
  if (first == text.npos || find_letter(text, kFront, 'Z', first + 2) != text.npos) return std::nullopt;
  return text[first];
}

/// "grade7" -> 7; 0 if it is not a grade.
int grade_of(const ScienceProblem& problem) {
  constexpr std::string_view kFront = "grade";
  if (!problem.grade.starts_with(kFront)) return 0;
  int grade = 0;
  for (const char c : std::string_view(problem.grade).substr(kFront.size())) {
    if (c < '0' || c > '9' || grade > 12) return 0;
    grade = 10 * grade + (c - '0');
  }
  return grade;
}

struct Group {
  const char* name;
  std::function<bool(const ScienceProblem&)> holds;
};

const std::vector<Group>& groups() {
  static const std::vector<Group> list{
      {"NAT", [](const ScienceProblem& p) { return p.subject == "natural science"; }},
      {"SOC", [](const ScienceProblem& p) { return p.subject == "social science"; }},
      {"LAN", [](const ScienceProblem& p) { return p.subject == "language science"; }},
      {"TXT", [](const ScienceProblem& p) { return !p.hint.empty(); }},
      {"IMG", [](const ScienceProblem& p) { return p.has_picture; }},
      {"NO", [](const ScienceProblem& p) { return p.hint.empty() && !p.has_picture; }},
      {"G1-6", [](const ScienceProblem& p) { return grade_of(p) >= 1 && grade_of(p) <= 6; }},
      {"G7-12", [](const ScienceProblem& p) { return grade_of(p) >= 7 && grade_of(p) <= 12; }},
      {"AVG", [](const ScienceProblem&) { return true; }},
  };
  return list;
}

}  // namespace

std::optional<char> science_letter(const std::string& answer, ScienceRule rule) {
  if (rule == ScienceRule::llava) return llava_letter(answer);
  const std::optional<char> told = first_letter(answer, "The answer is ", 'Z');
  return told || rule == ScienceRule::lavin ? told : first_letter(answer, "", 'E');
}

std::optional<int64_t> science_choice(std::optional<char> letter, const ScienceProblem& problem) {
  if (!letter || *letter - 'A' >= static_cast<int64_t>(problem.choices.size()) || *letter > 'E') return std::nullopt;
  return *letter - 'A';
}

std::vector<ScienceColumn> science_table(std::span<const ScienceMark> marks) {
  std::vector<ScienceColumn> table;
  for (const Group& group : groups()) {
    ScienceColumn column{.name = group.name};
    for (const ScienceMark& mark : marks) {
      if (!group.holds(*mark.problem)) continue;
      ++column.questions;
      column.right += mark.right ? 1 : 0;
    }
    table.push_back(std::move(column));
  }
  return table;
}

}  // namespace lithe::tasks
