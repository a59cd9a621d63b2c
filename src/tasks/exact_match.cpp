#include "tasks/exact_match.h"
#include "base/error.h"
#include "data/data_set.h"
#include "tasks/task.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

/// Any data set that can be tuned on: the last turn of each record is the answer.
class ExactMatch final : public Task {
 public:
  explicit ExactMatch(const TaskOptions& options)
      : instruction_(options.instruction.value_or("")),
        set_(data::DataSet::open({.path = options.data, .decode = options.decode})) {
    require(options.split.empty(), Fault::bad_request,
            "The task exact_match has no splits; give the file of a split with --data.");
  }

  int64_t size() const override { return set_->size(); }

  std::string id(int64_t i) const override { return std::to_string(i + 1); }

  Question question(int64_t i) const override {
    data::Record record = set_->read(i);
    require(record.turns.size() >= 2 && record.turns.back().role == "assistant", Fault::bad_file, record.name,
            ": does not end with an answer");
    Question question{.id = id(i), .target = record.turns.back().text};
    record.turns.pop_back();
    question.turns = std::move(record.turns);
    question.text = question.turns.back().text;
    if (!instruction_.empty()) question.turns.back().text += "\n" + instruction_;
    question.images = std::move(record.images);
    question.needed = std::move(record.needed);
    return question;
  }

  Judgement judge(int64_t i, const Response& response) const override {
    return {text::stripped(response.text), matches(response.text, set_->read(i).turns.back().text) ? 1.0 : 0.0};
  }

  std::vector<Score> table(std::span<const Answered> answered) const override {
    return mean_score("exact match", answered);
  }

 private:
  std::string instruction_;
  std::unique_ptr<data::DataSet> set_;
};

}  // namespace

bool matches(const std::string& answer, const std::string& expected) {
  return text::stripped(answer) == text::stripped(expected);
}

std::unique_ptr<Task> open_exact_match(const TaskOptions& options) {
  return std::make_unique<ExactMatch>(options);
}

}  // namespace lithe::tasks
