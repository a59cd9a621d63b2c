#include <map>

#include "base/error.h"
#include "tasks/benchmarks/hub_task.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

/// Answers by what is right and what was given; "yes" is what is looked for.
struct Counts {
  int64_t all = 0, right = 0, yes = 0;  ///< Questions, right answers, questions to which "yes" is right.
  int64_t found = 0, missed = 0, false_alarms = 0;

  void add(bool yes_is_right, const std::string& given, bool is_right) {
    ++all;
    right += is_right ? 1 : 0;
    yes += yes_is_right ? 1 : 0;
    if (given == "yes") ++(yes_is_right ? found : false_alarms);
    if (given == "no" && yes_is_right) ++missed;  // any other answer is not a miss: the published rule
  }
};

double share(int64_t part, int64_t all) {
  return all > 0 ? static_cast<double>(part) / static_cast<double>(all) : 0;
}

void add_scores(const Counts& counts, const std::string& after, std::vector<Score>& scores) {
  const double precision = share(counts.found, counts.found + counts.false_alarms);
  const double recall = share(counts.found, counts.found + counts.missed);
  const double f1 = precision + recall > 0 ? 2 * (precision * recall) / (precision + recall) : 0;
  const auto add = [&](const char* name, double value) { scores.push_back({name + after, 100 * value, counts.all}); };
  add("pope_accuracy", share(counts.right, counts.all));
  add("pope_precision", precision);
  add("pope_recall", recall);
  add("pope_f1_score", f1);
  add("pope_yes_ratio", share(counts.yes, counts.all));
}

class Pope final : public HubTask {
 public:
  /// Configuration "Full" has the splits adversarial, popular and random; the default one has all three in "test".
  explicit Pope(const TaskOptions& options)
      : HubTask({.title = "POPE",
                 .folders = {"data", "Full"},
                 .columns = {"question_id", "question", "answer", "category"},
                 .id = {"category", "question_id"}},
                options) {}

  /// Over all questions, and then by category if there are several.
  std::vector<Score> table(std::span<const Answered> answered) const override {
    std::map<std::string, Counts> categories;
    Counts all;
    for (const Answered& one : answered) {
      const Json& asked = row(one.question);
      const bool yes = right_answer(asked) == "yes", right = one.judgement.score > 0;
      all.add(yes, one.judgement.parsed, right);
      categories[id_field(asked, "category")].add(yes, one.judgement.parsed, right);
    }
    std::vector<Score> scores;
    if (all.all > 0) add_scores(all, "", scores);
    if (categories.size() > 1)
      for (const auto& [category, counts] : categories) add_scores(counts, " " + category, scores);
    return scores;
  }

 private:
  AskedRow asked(const Json& row) const override {
    right_answer(row);
    return {.prompt = text::stripped(text_field(row, "question")), .target = text_field(row, "answer")};
  }

  Judgement judged(const Json& row, const std::string& answer, const std::string&) const override {
    std::string given = text::stripped(text::lower(answer));
    const double score = given == right_answer(row) ? 1.0 : 0.0;
    return {std::move(given), score};
  }

  static std::string right_answer(const Json& row) {
    std::string answer = text::stripped(text::lower(text_field(row, "answer")));
    require(answer == "yes" || answer == "no", Fault::bad_file, "'answer' is neither yes nor no");
    return answer;
  }
};

}  // namespace

std::unique_ptr<Task> open_pope(const TaskOptions& options) {
  return std::make_unique<Pope>(options);
}

}  // namespace lithe::tasks
