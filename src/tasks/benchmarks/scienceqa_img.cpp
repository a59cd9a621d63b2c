#include "tasks/benchmarks/hub_task.h"
#include "tasks/option_lines.h"
#include "text/characters.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

class ScienceQaImg final : public HubTask {
 public:
  explicit ScienceQaImg(const TaskOptions& options)
      : HubTask({.title = "ScienceQA",
                 .folders = {"ScienceQA-IMG", "ScienceQA-FULL"},
                 .columns = {"question", "choices", "answer", "hint"}},
                options) {}

 private:
  AskedRow asked(const Json& row) const override {
    const std::string hint = text_or_empty(row, "hint");
    const std::string context = hint.empty() ? std::string() : "Context: " + hint + "\n";
    return {.prompt = context + text_field(row, "question") + "\n" + option_lines(texts_field(row, "choices")),
            .target = target(row),
            .needs_pictures = false};
  }

  /// The letter alone, or a large letter and a period at the start.
  Judgement judged(const Json& row, const std::string& answer, const std::string&) const override {
    const auto form = [&](const std::string& text) { return today() ? text::lower(text) : text; };
    const std::string wanted = form(target(row));
    if (form(answer) == wanted) return {answer, 1.0};
    const text::Characters letters = text::characters_of(answer);
    if (letters.size() < 2 || !letters[0].upper || letters[1].code != '.') return {};
    const std::string first = text::text_of({letters.data(), 1});
    return {first, form(first) == wanted ? 1.0 : 0.0};
  }

  static std::string target(const Json& row) { return letter_of_answer(row, "choices", "choice"); }
};

}  // namespace

std::unique_ptr<Task> open_scienceqa_img(const TaskOptions& options) {
  return std::make_unique<ScienceQaImg>(options);
}

}  // namespace lithe::tasks
