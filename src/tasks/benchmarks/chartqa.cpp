#include "tasks/benchmarks/hub_task.h"
#include "tasks/relaxed_accuracy.h"

namespace lithe::tasks {
namespace {

class ChartQa final : public HubTask {
 public:
  explicit ChartQa(const TaskOptions& options)
      : HubTask({.title = "ChartQA", .folders = {"data"}, .columns = {"type", "question", "answer"}}, options) {}

  std::vector<Score> table(std::span<const Answered> answered) const override {
    std::vector<Score> scores = mean_score("relaxed_overall", answered);
    const auto human = [&](const Answered& one) { return text_or_empty(row(one.question), "type") == "human_test"; };
    add_mean("relaxed_human_split", answered, human, scores);
    add_mean(
        "relaxed_augmented_split", answered, [&](const Answered& one) { return !human(one); }, scores);
    return scores;
  }

 private:
  AskedRow asked(const Json& row) const override {
    return {.prompt = text_field(row, "question"), .target = text_field(row, "answer")};
  }

  Judgement judged(const Json& row, const std::string& answer, const std::string&) const override {
    return {answer, relaxed_match(answer, text_field(row, "answer")) ? 1.0 : 0.0};
  }
};

}  // namespace

std::unique_ptr<Task> open_chartqa(const TaskOptions& options) {
  return std::make_unique<ChartQa>(options);
}

}  // namespace lithe::tasks
