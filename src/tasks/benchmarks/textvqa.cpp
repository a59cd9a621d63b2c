#include <algorithm>

#include "tasks/answer_words.h"
#include "tasks/benchmarks/hub_task.h"
#include "tasks/vqa_accuracy.h"
#include "text/words.h"

/// TextVQA and OK-VQA: the answers of several people.
namespace lithe::tasks {
namespace {

std::string most_frequent(const std::vector<std::string>& answers) {
  const auto count = [&](const std::string& answer) { return std::count(answers.begin(), answers.end(), answer); };
  const auto best = std::max_element(answers.begin(), answers.end(),
                                     [&](const std::string& a, const std::string& b) { return count(a) < count(b); });
  return best == answers.end() ? std::string() : *best;
}

class PeoplesAnswers : public HubTask {
 public:
  PeoplesAnswers(const char* title, const TaskOptions& options)
      : HubTask({.title = title,
                 .folders = {"data"},
                 .columns = {"question_id", "question", "answers"},
                 .id = {"question_id"}},
                options) {}

 protected:
  AskedRow asked(const Json& row) const override {
    return {.prompt = text_field(row, "question"), .target = most_frequent(texts_field(row, "answers"))};
  }

 private:
  Judgement judged(const Json& row, const std::string& answer, const std::string&) const override {
    std::vector<std::string> references = texts_field(row, "answers");
    for (std::string& reference : references) reference = vqa_answer(reference);
    const std::string given = vqa_answer(answer);
    return {given, agreement(given, references)};
  }
};

class TextVqa final : public PeoplesAnswers {
 public:
  explicit TextVqa(const TaskOptions& options) : PeoplesAnswers("TextVQA", options) {}

 private:
  AskedRow asked(const Json& row) const override {
    AskedRow asked = PeoplesAnswers::asked(row);
    asked.prompt = text::capitalised(asked.prompt);
    return asked;
  }
};

class OkVqa final : public PeoplesAnswers {
 public:
  explicit OkVqa(const TaskOptions& options) : PeoplesAnswers("OK-VQA", options) {}
};

}  // namespace

std::unique_ptr<Task> open_textvqa(const TaskOptions& options) {
  return std::make_unique<TextVqa>(options);
}

std::unique_ptr<Task> open_ok_vqa(const TaskOptions& options) {
  return std::make_unique<OkVqa>(options);
}

}  // namespace lithe::tasks
