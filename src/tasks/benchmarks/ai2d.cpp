#include "tasks/benchmarks/hub_task.h"
#include "tasks/option_lines.h"
#include "tasks/plain_match.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

/// "  B. because" -> "B"; any other answer as it is.
std::string filtered(const std::string& answer) {
  const std::string text = text::stripped(answer);
  const bool letter = text.size() >= 2 && text[0] >= 'A' && text[0] <= 'Z' && text[1] == '.';
  return letter ? text.substr(0, 1) : answer;
}

class Ai2d final : public HubTask {
 public:
  explicit Ai2d(const TaskOptions& options)
      : HubTask({.title = "AI2D", .folders = {"data"}, .columns = {"question", "options", "answer"}}, options) {}

 private:
  AskedRow asked(const Json& row) const override {
    const std::vector<std::string> options = texts_field(row, "options");
    return {.prompt = text_field(row, "question") + "\n" + option_lines(options), .target = target(row)};
  }

  Judgement judged(const Json& row, const std::string&, const std::string& raw) const override {
    const std::string given = filtered(raw);
    return {given, plain_match(given, target(row)) ? 1.0 : 0.0};
  }

  static std::string target(const Json& row) { return letter_of_answer(row, "options", "option"); }
};

}  // namespace

std::unique_ptr<Task> open_ai2d(const TaskOptions& options) {
  return std::make_unique<Ai2d>(options);
}

}  // namespace lithe::tasks
