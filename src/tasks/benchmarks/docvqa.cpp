#include "tasks/anls.h"
#include "tasks/benchmarks/hub_task.h"

/// DocVQA and InfographicVQA: the words of an answer, and how like they are to a reference.
namespace lithe::tasks {
namespace {

HubSet configuration(const char* title, const char* folder) {
  return {.title = title, .folders = {folder}, .columns = {"questionId", "question", "answers"}, .id = {"questionId"}};
}

class DocVqa final : public HubTask {
 public:
  using HubTask::HubTask;

  std::vector<Score> table(std::span<const Answered> answered) const override { return mean_score("anls", answered); }

 private:
  AskedRow asked(const Json& row) const override {
    std::vector<std::string> answers = texts_field(row, "answers");
    return {.prompt = text_field(row, "question"),
            .target = answers.empty() ? std::string() : answers.front(),
            .answers = std::move(answers)};
  }

  /// The evaluation of the paper made 1 of every likeness that is not 0.
  Judgement judged(const Json& row, const std::string& answer, const std::string&) const override {
    const double likeness = anls(answer, texts_field(row, "answers"));
    return {answer, today() || likeness == 0 ? likeness : 1.0};
  }
};

}  // namespace

std::unique_ptr<Task> open_docvqa(const TaskOptions& options) {
  return std::make_unique<DocVqa>(configuration("DocVQA", "DocVQA"), options);
}

std::unique_ptr<Task> open_infovqa(const TaskOptions& options) {
  return std::make_unique<DocVqa>(configuration("InfographicVQA", "InfographicVQA"), options);
}

}  // namespace lithe::tasks
