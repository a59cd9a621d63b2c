#include "tasks/label_task.h"

#include <algorithm>

#include "base/error.h"
#include "base/printable.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

class LabelTask final : public Task {
 public:
  explicit LabelTask(LabelSet set) : set_(std::move(set)) {}

  int64_t size() const override { return set_.items->size(); }

  std::string id(int64_t i) const override { return set_.items->read(i).id; }

  Question question(int64_t i) const override {
    const Item item = set_.items->read(i);
    Question question{.id = item.id, .text = item.text, .target = item.more.is_null() ? "" : name_of(item.more)};
    question.images = set_.items->pictures(i);
    question.ask(item.text, set_.instruction);
    return question;
  }

  Judgement judge(int64_t i, const Response& response) const override {
    const std::optional<int64_t> label = response.label ? response.label : label_in(response.text);
    if (!label || *label < 0 || *label >= static_cast<int64_t>(set_.labels.size())) return {};
    const Json right = set_.items->read(i).more;
    return {name_of(*label), right == *label ? 1.0 : 0.0};
  }

  std::vector<Score> table(std::span<const Answered> answered) const override {
    double right = 0;
    int64_t known = 0;
    for (const Answered& one : answered) {
      if (set_.items->read(one.question).more.is_null()) continue;
      right += one.judgement.score;
      ++known;
    }
    if (known == 0) return {};
    return {{"accuracy", 100 * right / static_cast<double>(known), known}};
  }

 private:
  std::string name_of(int64_t label) const { return set_.labels.at(static_cast<std::size_t>(label)); }

  /// The label that an answer in words begins with, whatever its case.
  std::optional<int64_t> label_in(const std::string& answer) const {
    const std::string given = text::lower(text::stripped(answer));
    for (std::size_t i = 0; i < set_.labels.size(); ++i) {
      const std::string name = text::lower(set_.labels[i]);
      const bool ends = given.size() == name.size() || (given.size() > name.size() && !is_letter(given[name.size()]));
      if (given.starts_with(name) && ends) return static_cast<int64_t>(i);
    }
    return std::nullopt;
  }

  static bool is_letter(char c) { return c >= 'a' && c <= 'z'; }

  LabelSet set_;
};

}  // namespace

std::unique_ptr<Task> label_task(LabelSet set) {
  return std::make_unique<LabelTask>(std::move(set));
}

int64_t label_named(const std::vector<std::string>& labels, const std::string& name) {
  const auto found = std::find(labels.begin(), labels.end(), name);
  require(found != labels.end(), Fault::bad_file, "the label ", in_quotes(name), " is unknown");
  return found - labels.begin();
}

}  // namespace lithe::tasks
