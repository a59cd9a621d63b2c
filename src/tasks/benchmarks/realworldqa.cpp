#include <algorithm>
#include <array>

#include "tasks/benchmarks/hub_task.h"
#include "tasks/general_letter.h"
#include "tasks/option_lines.h"
#include "tasks/plain_match.h"
#include "text/characters.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

constexpr std::array kNumbers{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"};

std::string digit_of(const std::string& answer) {
  const auto number = std::find(kNumbers.begin(), kNumbers.end(), text::lower(answer));
  return number == kNumbers.end() ? answer : std::to_string(number - kNumbers.begin());
}

/// The options in a question, by the pattern \b([A-Z])\.\s+([^\n]*)
std::vector<std::string> options_in(const std::string& question) {
  const text::Characters all = text::characters_of(question);
  std::vector<std::string> options;
  for (std::size_t at = 0; at + 2 < all.size(); ++at) {
    const bool letter = all[at].code >= 'A' && all[at].code <= 'Z' && (at == 0 || !all[at - 1].word());
    if (!letter || all[at + 1].code != '.' || !text::is_space(all[at + 2].code)) continue;
    std::size_t begin = at + 2;
    while (begin < all.size() && text::is_space(all[begin].code)) ++begin;
    std::size_t end = begin;
    while (end < all.size() && all[end].code != '\n') ++end;
    options.push_back(text::stripped(text::text_of(std::span(all).subspan(begin, end - begin))));
    at = std::max(at, end - 1);
  }
  return options;
}

/// Without characters that are neither of a word nor white space.
std::string words_alone(const std::string& answer) {
  text::Characters kept;
  for (const text::Character& one : text::characters_of(answer))
    if (one.word() || text::is_space(one.code)) kept.push_back(one);
  return text::stripped(text::text_of(kept));
}

/// The letter of the option whose text comes first in the answer; of several in one place, the first option. An answer
/// without one stays.
std::string letter_or_answer(const std::string& answer, const std::vector<std::string>& options) {
  std::size_t best = answer.npos;
  std::string found;
  for (const std::string& option : options) {
    const std::size_t place = answer.find(option);
    if (place >= best) continue;
    best = place;
    found = option;
  }
  if (best == answer.npos) return answer;
  // Of options with the same text the published code keeps the last letter.
  const auto last = std::find(options.rbegin(), options.rend(), found);
  return option_letter(static_cast<std::size_t>(options.rend() - last) - 1);
}

class RealWorldQa final : public HubTask {
 public:
  explicit RealWorldQa(const TaskOptions& options)
      : HubTask({.title = "RealWorldQA", .folders = {"data"}, .columns = {"question", "answer"}}, options) {}

 private:
  AskedRow asked(const Json& row) const override {
    return {.prompt = text::stripped(text_field(row, "question")), .target = text_field(row, "answer")};
  }

  Judgement judged(const Json& row, const std::string& answer, const std::string& raw) const override {
    const std::string target = text_field(row, "answer");
    if (today()) return judged_today(answer, raw, text::stripped(target));
    const std::string given = letter_or_answer(words_alone(digit_of(raw)), options_in(text_field(row, "question")));
    return {given, plain_match(given, target) ? 1.0 : 0.0};
  }

  static Judgement judged_today(const std::string& answer, const std::string& raw, const std::string& target) {
    const std::string letter = text::upper(target);
    if (letter.size() == 1 && letter >= "A" && letter <= "D")
      return {raw, general_letter(answer, "ABCD") == letter ? 1.0 : 0.0};
    std::string given = text::stripped(text::lower(answer));
    given.erase(given.find_last_not_of('.') + 1);
    return {raw, given == text::lower(target) ? 1.0 : 0.0};
  }
};

}  // namespace

std::unique_ptr<Task> open_realworldqa(const TaskOptions& options) {
  return std::make_unique<RealWorldQa>(options);
}

}  // namespace lithe::tasks
