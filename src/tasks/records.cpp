#include "tasks/records.h"

#include "base/error.h"
#include "base/json.h"

namespace lithe::tasks {
namespace {

class TaskRecords final : public data::DataSet {
 public:
  TaskRecords(std::string name, std::unique_ptr<Task> task, bool for_head)
      : name_(std::move(name)), task_(std::move(task)), for_head_(for_head) {
    if (for_head_) learnable_ = task_->learnable();
  }

  int64_t size() const override { return learnable_ ? static_cast<int64_t>(learnable_->size()) : task_->size(); }

  data::Record read(int64_t place) const override {
    const int64_t i = question_of(place);
    Question question = task_->question(i);
    data::Record record{concat(name_, ", question ", question.id)};
    if (for_head_) return bare(i, std::move(question), std::move(record));
    require(!question.target.empty(), Fault::bad_file, record.name, ": has no answer to learn from");
    record.turns = std::move(question.turns);
    record.turns.push_back({"assistant", std::move(question.target)});
    record.images = std::move(question.images);
    return record;
  }

  std::optional<double> worth(int64_t place, const std::string& answer) const override {
    return task_->judge(question_of(place), {.text = answer}).score;
  }

  std::vector<std::string> labels() const override {
    const HeadLabels labels = for_head_ ? task_->head_labels() : HeadLabels();
    return labels.complete() ? labels.names : std::vector<std::string>();
  }

 private:
  int64_t question_of(int64_t place) const {
    return learnable_ ? learnable_->at(static_cast<std::size_t>(place)) : place;
  }

  data::Record bare(int64_t i, Question question, data::Record record) const {
    record.images = std::move(question.images);
    record.turns = {{"user", std::move(question.text)}};
    if (task_->candidates() > 0) {
      record.images = {task_->candidate(task_->pair_of(i))};
      return record;
    }
    Json answers = Json::object();
    for (const auto& [answer, worth] : question.answers) answers[answer] = worth;
    std::string target = answers.empty() ? std::move(question.target) : answers.dump();
    require(!target.empty(), Fault::bad_file, record.name, ": has no answer to learn from");
    record.turns.push_back({"assistant", std::move(target)});
    return record;
  }

  std::string name_;
  std::unique_ptr<Task> task_;
  bool for_head_;
  std::optional<std::vector<int64_t>> learnable_;  ///< Questions; absent: all.
};

}  // namespace

std::unique_ptr<data::DataSet> records_of(const std::string& name, const TaskOptions& options) {
  const bool for_head = options.family == "meter";
  require(for_head || task_named(name).asks != Asks::ranking, Fault::bad_request, "The task ", name,
          " has no answers in words to learn from.");
  return std::make_unique<TaskRecords>(name, open_task(name, options), for_head);
}

}  // namespace lithe::tasks
