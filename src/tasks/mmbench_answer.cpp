#include "tasks/mmbench_answer.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

constexpr std::string_view kLetters = "ABCDE";
constexpr std::array<std::pair<const char*, const char*>, 12> kFrames{{{"", "."},
                                                                       {"", ","},
                                                                       {"", ":"},
                                                                       {"", ")"},
                                                                       {"", ")."},
                                                                       {"(", ")"},
                                                                       {"(", ")."},
                                                                       {":", ""},
                                                                       {":", ","},
                                                                       {":", "."},
                                                                       {":", ")"},
                                                                       {":", ")."}}};

/// The letter that is the only one among the words with this before and that after it; empty: none, or several.
std::string only_letter(const std::vector<std::string>& words, const char* before, const char* after) {
  std::string found;
  for (const char letter : kLetters) {
    if (std::find(words.begin(), words.end(), concat(before, letter, after)) == words.end()) continue;
    if (!found.empty()) return {};
    found = letter;
  }
  return found;
}

std::string named_letter(const std::string& answer) {
  // Published evaluations leave this text if a model that was asked over the network gave no answer.
  if (answer.find("Failed to obtain answer via API") != answer.npos) return {};
  const std::vector<std::string> words = text::words_of(answer);
  const bool article = words.size() > 3 && std::find(words.begin(), words.end(), "A") != words.end();
  const std::string alone = only_letter(words, "", "");
  if (!alone.empty() && !article) return alone;
  for (const auto& [before, after] : kFrames) {
    const std::string framed = only_letter(words, before, after);
    if (!framed.empty()) return framed;
  }
  return {};
}

/// The options up to the first that is missing.
std::string option_list(const MmbenchOptions& options) {
  std::string list = "There are several options: \n";
  for (const char letter : std::string_view("ABCD")) {
    const auto option = options.find(letter);
    if (option == options.end()) break;
    list += concat(letter, ". ", option->second, "\n");
  }
  return list;
}

}  // namespace

std::string mmbench_letter(const std::string& answer, const MmbenchOptions& options) {
  const std::string named = named_letter(answer);
  if (!named.empty()) return named;
  const std::string lower = text::lower(answer);
  std::string found;
  for (const auto& [letter, option] : options) {
    if (lower.find(text::lower(option)) == lower.npos) continue;
    if (!found.empty()) return {};
    found = letter;
  }
  return found;
}

std::string mmbench_judge_prompt(const std::string& question, const MmbenchOptions& options,
                                 const std::string& answer) {
  return concat(
      "You are an AI assistant who will help me to match an answer with several options of a single-choice question. "
      "You are provided with a question, several options, and an answer, and you need to find which option is most "
      "similar to the answer. If the meaning of all options are significantly different from the answer, output E. "
      "Your should output a single uppercase character in A, B, C, D (if they are valid options), and E. \n"
      "Example 1: \n"
      "Question: What is the main object in image?\nOptions: A. teddy bear B. rabbit C. cat D. dog\n"
      "Answer: a cute teddy bear\nYour output: A\n"
      "Example 2: \n"
      "Question: What is the main object in image?\nOptions: A. teddy bear B. rabbit C. cat D. dog\n"
      "Answer: Spider\nYour output: E\n"
      "Example 3: \n"
      "Question: ",
      question, "?\nOptions: ", option_list(options), "\nAnswer: ", answer, "\nYour output: ");
}

}  // namespace lithe::tasks
