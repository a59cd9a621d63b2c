#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "base/printable.h"
#include "tasks/benchmarks/hub_task.h"
#include "text/characters.h"
#include "text/message.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

constexpr std::array kPerception{"existence", "count", "position", "color",   "posters",
                                 "celebrity", "scene", "landmark", "artwork", "OCR"};

/// "Yes." -> "yes"
std::string plain(const std::string& text) {
  return text::replaced(text::stripped(text::lower(text)), ".", "");
}

/// "yes", "no", or "other": what the first four characters hold.
std::string yes_or_no(const std::string& answer) {
  const std::string given = plain(answer);
  const std::u32string codes = text::code_points(given);
  if (codes.size() == 1) return given == "y" ? "yes" : given == "n" ? "no" : "other";
  const std::u32string start = codes.substr(0, 4);
  if (start.find(U"yes") != start.npos) return "yes";
  return start.find(U"no") != start.npos ? "no" : "other";
}

bool is_perception(const std::string& category) {
  return std::find(kPerception.begin(), kPerception.end(), category) != kPerception.end();
}

/// The answers about one picture.
struct Pair {
  int64_t answers = 0;
  double right = 0;
};

/// By the name of the picture.
using Pairs = std::map<std::string, Pair>;

/// 100 for each right answer, halved, and 100 more if both are right; the mean over the pictures.
Score category_score(const std::string& name, const Pairs& pairs) {
  Score score{name};
  for (const auto& [picture, pair] : pairs) {
    if (pair.answers != 2 && score.missing.empty())
      score.missing = concat("the picture ", in_quotes(picture), " has ", pair.answers, " of its 2 answers");
    score.value += 50 * pair.right + (pair.right == 2 ? 100 : 0);
    score.questions += pair.answers;
  }
  score.value /= static_cast<double>(pairs.size());
  return score;
}

class Mme final : public HubTask {
 public:
  explicit Mme(const TaskOptions& options)
      : HubTask({.title = "MME",
                 .folders = {"data"},
                 .columns = {"question_id", "question", "answer", "category"},
                 .id = {"question_id"}},
                options) {}

  /// In points, of which a category has 200.
  std::vector<Score> table(std::span<const Answered> answered) const override {
    std::map<std::string, Pairs> categories;
    for (const Answered& one : answered) {
      const Json& asked = row(one.question);
      Pair& pair = categories[text_field(asked, "category")][id_field(asked, "question_id")];
      ++pair.answers;
      pair.right += one.judgement.score;
    }
    std::vector<Score> scores;
    for (const bool perception : {true, false}) add_sum(perception, categories, scores);
    for (const auto& [category, pairs] : categories) scores.push_back(category_score(category, pairs));
    return scores;
  }

 private:
  AskedRow asked(const Json& row) const override {
    std::string question = text::stripped(text_field(row, "question"));
    if (!instruction().empty()) question = text::replaced(question, " Please answer yes or no.", "");
    right_answer(row);
    return {.prompt = std::move(question), .target = text_field(row, "answer")};
  }

  Judgement judged(const Json& row, const std::string& answer, const std::string&) const override {
    const std::string given = yes_or_no(answer);
    return {given, given == right_answer(row) ? 1.0 : 0.0};
  }

  static std::string right_answer(const Json& row) {
    std::string answer = plain(text_field(row, "answer"));
    require(answer == "yes" || answer == "no", Fault::bad_file, "'answer' is neither yes nor no");
    return answer;
  }

  /// The paper's version misspelt the name of its score.
  void add_sum(bool perception, const std::map<std::string, Pairs>& categories, std::vector<Score>& scores) const {
    Score sum{!perception ? "mme_cognition_score" : today() ? "mme_perception_score" : "mme_percetion_score"};
    for (const auto& [category, pairs] : categories) {
      if (is_perception(category) != perception) continue;
      const Score part = category_score(category, pairs);
      sum.value += part.value;
      sum.questions += part.questions;
      if (sum.missing.empty()) sum.missing = part.missing;
    }
    if (sum.questions > 0) scores.push_back(std::move(sum));
  }
};

}  // namespace

std::unique_ptr<Task> open_mme(const TaskOptions& options) {
  return std::make_unique<Mme>(options);
}

}  // namespace lithe::tasks
