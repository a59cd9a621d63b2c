#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "tasks/benchmarks/hub_task.h"
#include "tasks/general_letter.h"
#include "tasks/mmbench_answer.h"
#include "tasks/python_random.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

/// Turns of one question, with its options in another order, are a million apart.
constexpr int64_t kTurn = 1'000'000;
constexpr uint32_t kSeed = 2680;
constexpr int kMostReplies = 3;

/// A column that has "nan" for nothing.
std::string value_of(const Json& row, const char* key) {
  std::string text = text_or_empty(row, key);
  return text == "nan" ? std::string() : text;
}

MmbenchOptions mmbench_options(const Json& row) {
  MmbenchOptions options;
  for (const char letter : std::string_view("ABCD")) {
    const auto option = row.find(std::string(1, letter));
    if (option != row.end() && option->is_string()) options[letter] = option->get<std::string>();
  }
  return options;
}

/// One answered turn.
struct Turn {
  const Json* row;
  std::string answer, letter;
  bool right() const { return letter == text_field(*row, "answer"); }
};

/// Reads the answers that the rules cannot, one after the other.
class LastResort {
 public:
  /// `guesses`: draws if the judge does not help; else such an answer is wrong.
  LastResort(const Judge& judge, bool guesses) : judge_(judge), guesses_(guesses), random_(kSeed) {}

  std::string letter(const Turn& turn) {
    const MmbenchOptions options = mmbench_options(*turn.row);
    if (judge_) {
      const std::string prompt = mmbench_judge_prompt(text_field(*turn.row, "question"), options, turn.answer);
      for (int i = 0; i < kMostReplies; ++i) {
        const std::optional<std::string> reply = judge_(prompt);
        std::string letter = reply ? mmbench_letter(*reply, options) : std::string();
        if (!letter.empty()) return letter;
      }
    }
    return guesses_ ? std::string(1, "ABCDE"[random_.below(5)]) : std::string();
  }

 private:
  const Judge& judge_;
  bool guesses_;
  PythonRandom random_;
};

/// All turns must be right. A wrong one that a rule can read ends the question before anything is drawn.
bool all_right(std::vector<Turn>& turns, LastResort& last) {
  for (const Turn& turn : turns)
    if (!turn.letter.empty() && !turn.right()) return false;
  for (Turn& turn : turns) {
    if (!turn.letter.empty()) continue;
    turn.letter = last.letter(turn);
    if (!turn.right()) return false;
  }
  return true;
}

class MmBench final : public HubTask {
 public:
  explicit MmBench(const TaskOptions& options)
      : HubTask({.title = "MMBench",
                 .folders = {"en", "data"},
                 .columns = {"index", "question", "hint", "answer", "A", "B", "C", "D", "E", "category", "L2-category"},
                 .id = {"index"}},
                options),
        judge_(options.judge) {}

  /// The score of lmms-eval, and its parts by category.
  std::vector<Score> table(std::span<const Answered> answered) const override {
    std::map<int64_t, std::vector<Turn>> questions = questions_of(answered);
    LastResort last(judge_, judge_ || !today());
    std::vector<Answered> whole;
    std::map<int64_t, const Json*> rows;
    for (auto& [index, turns] : questions) {
      if (whole_field(*turns.front().row, "index") >= kTurn) continue;  // its first turn was not answered
      rows[index] = turns.front().row;
      whole.push_back({.question = index, .judgement = {.score = all_right(turns, last) ? 1.0 : 0.0}});
    }
    std::vector<Score> scores = mean_score("gpt_eval_score", whole);
    for (const char* column : {"category", "L2-category"}) add_categories(column, whole, rows, scores);
    return scores;
  }

 private:
  AskedRow asked(const Json& row) const override {
    std::string options = "There are several options:";
    for (const char* letter : {"A", "B", "C", "D", "E"}) {
      const std::string option = value_of(row, letter);
      if (!option.empty()) options += concat("\n", letter, ". ", option);
    }
    const std::string hint = value_of(row, "hint");
    return {.prompt = concat(hint, hint.empty() ? "" : " ", text_field(row, "question"), " ", options,
                             instruction().empty() ? "" : "\n"),
            .target = text_field(row, "answer")};
  }

  /// Of the turn alone. Today's evaluation without a judge reads a letter from answers that the rules cannot.
  Judgement judged(const Json& row, const std::string& answer, const std::string&) const override {
    std::string letter = letter_of(row, answer);
    const double score = letter == text_field(row, "answer") ? 1.0 : 0.0;
    return {std::move(letter), score};
  }

  std::string letter_of(const Json& row, const std::string& answer) const {
    const MmbenchOptions options = mmbench_options(row);
    std::string letter = mmbench_letter(answer, options);
    if (!letter.empty() || !today() || judge_) return letter;
    std::string letters;
    for (const auto& [one, option] : options) letters += one;
    return general_letter(answer, letters);
  }

  /// The turns of each question in the order of their numbers, by the number of the question.
  std::map<int64_t, std::vector<Turn>> questions_of(std::span<const Answered> answered) const {
    std::map<int64_t, Turn> by_index;
    for (const Answered& one : answered) {
      const Json& asked = row(one.question);
      by_index[whole_field(asked, "index")] = {&asked, text::stripped(one.response.text), one.judgement.parsed};
    }
    std::map<int64_t, std::vector<Turn>> questions;
    for (auto& [index, turn] : by_index) questions[index % kTurn].push_back(std::move(turn));
    return questions;
  }

  static void add_categories(const char* column, std::span<const Answered> whole,
                             const std::map<int64_t, const Json*>& rows, std::vector<Score>& scores) {
    std::set<std::string> names;
    for (const auto& [index, row] : rows) names.insert(text_or_empty(*row, column));
    for (const std::string& name : names) {
      if (name.empty()) continue;
      add_mean(
          concat(column, " ", name), whole,
          [&](const Answered& one) { return text_or_empty(*rows.at(one.question), column) == name; }, scores);
    }
  }

  Judge judge_;
};

}  // namespace

std::unique_ptr<Task> open_mmbench(const TaskOptions& options) {
  return std::make_unique<MmBench>(options);
}

}  // namespace lithe::tasks
