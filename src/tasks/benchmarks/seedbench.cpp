#include "base/error.h"
#include "base/printable.h"
#include "tasks/benchmarks/hub_task.h"
#include "text/characters.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

/// "image" and "video" are parts of the file of "test", which holds both.
HubSet set_of(const std::string& split) {
  HubSet set{
      .title = "SEED-Bench",
      .folders = {"data"},
      .columns = {"question", "choice_a", "choice_b", "choice_c", "choice_d", "answer", "data_type", "question_id"},
      .id = {"question_id"}};
  if (split != "image" && split != "video") return set;
  set.split = "test";
  set.wants = [split](const Json& row) { return text_field(row, "data_type") == split; };
  return set;
}

class SeedBench final : public HubTask {
 public:
  explicit SeedBench(const TaskOptions& options) : HubTask(set_of(options.split), options) {}

  std::vector<Score> table(std::span<const Answered> answered) const override {
    std::vector<Score> scores;
    for (const std::string type : {"image", "video"})
      add_mean(
          "seed_" + type, answered,
          [&](const Answered& one) { return text_field(row(one.question), "data_type") == type; }, scores);
    for (Score& all : mean_score("seed_all", answered)) scores.push_back(std::move(all));
    return scores;
  }

 private:
  AskedRow asked(const Json& row) const override {
    return {.prompt = concat(text_field(row, "question"), "\nA. ", text_field(row, "choice_a"), "\nB. ",
                             text_field(row, "choice_b"), "\nC. ", text_field(row, "choice_c"), "\nD. ",
                             text_field(row, "choice_d")),
            .target = text_field(row, "answer")};
  }

  /// The first character counts.
  Judgement judged(const Json& row, const std::string& answer, const std::string&) const override {
    const text::Characters letters = text::characters_of(answer);
    const std::string first = letters.empty() ? std::string() : text::text_of({letters.data(), 1});
    const auto form = [&](const std::string& text) { return today() ? text::stripped(text::lower(text)) : text; };
    return {first, form(first) == form(text_field(row, "answer")) ? 1.0 : 0.0};
  }
};

}  // namespace

std::unique_ptr<Task> open_seedbench(const TaskOptions& options) {
  return std::make_unique<SeedBench>(options);
}

}  // namespace lithe::tasks
