#include "tasks/records.h"

#include "base/error.h"

namespace lithe::tasks {
namespace {

class TaskRecords final : public data::DataSet {
 public:
  TaskRecords(std::string name, std::unique_ptr<Task> task) : name_(std::move(name)), task_(std::move(task)) {}

  int64_t size() const override { return task_->size(); }

  data::Record read(int64_t i) const override {
    Question question = task_->question(i);
    data::Record record{concat(name_, ", question ", question.id)};
    require(!question.target.empty(), Fault::bad_file, record.name, ": has no answer to learn from");
    record.turns = std::move(question.turns);
    record.turns.push_back({"assistant", std::move(question.target)});
    record.images = std::move(question.images);
    return record;
  }

  std::optional<double> worth(int64_t i, const std::string& answer) const override {
    return task_->judge(i, {.text = answer}).score;
  }

 private:
  std::string name_;
  std::unique_ptr<Task> task_;
};

}  // namespace

std::unique_ptr<data::DataSet> records_of(const std::string& name, const TaskOptions& options) {
  require(task_named(name).asks != Asks::ranking, Fault::bad_request, "The task ", name,
          " has no answers in words to learn from.");
  return std::make_unique<TaskRecords>(name, open_task(name, options));
}

}  // namespace lithe::tasks
