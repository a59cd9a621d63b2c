#include "eval/score.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "session/errors.h"

namespace lithe::eval {
namespace {

/// What is kept of the scores of a question.
tasks::Response response_of(std::vector<float> scores, const tasks::Task& task, const std::vector<std::string>& names) {
  require(
      !scores.empty() && std::all_of(scores.begin(), scores.end(), [](float score) { return std::isfinite(score); }),
      Fault::bad_file,
      "The model's scores are not finite; the weights are damaged, so fetch or export the model again.");
  if (task.candidates() > 0) return {.scores = std::move(scores)};
  const auto best = static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  return {.text = best < names.size() ? names[best] : "", .label = static_cast<int64_t>(best)};
}

class Scoring {
 public:
  Scoring(Scorer& scorer, const tasks::Task& task, TaskRun& run)
      : scorer_(scorer), task_(task), run_(run), names_(scorer.labels(task)) {}

  /// Reads the next questions, at most so many; false at the end.
  bool read(int64_t most) {
    numbers_.clear();
    questions_.clear();
    while (static_cast<int64_t>(questions_.size()) < most) {
      const std::optional<int64_t> i = run_.next();
      if (!i) break;
      guarded(*i, [&] {
        questions_.push_back(task_.question(*i));
        numbers_.push_back(*i);
      });
    }
    return !questions_.empty();
  }

  void score() {
    std::vector<std::vector<float>> scores;
    try {
      scores = session::naming_failures([&] { return scorer_.score(questions_, task_); });
    } catch (const Error&) {
      for (std::size_t k = 0; k < questions_.size(); ++k)
        guarded(numbers_[k], [&] { keep(k, scorer_.score({&questions_[k], 1}, task_).at(0)); });
      return;
    }
    for (std::size_t k = 0; k < questions_.size(); ++k) guarded(numbers_[k], [&] { keep(k, std::move(scores.at(k))); });
  }

 private:
  void keep(std::size_t k, std::vector<float> scores) {
    run_.answer(numbers_[k], questions_[k], response_of(std::move(scores), task_, names_), Json::object());
  }

  template <class Work>
  void guarded(int64_t i, const Work& work) {
    try {
      session::naming_failures(work);
    } catch (const Error& error) {
      run_.fail(i, task_.id(i), error);
    }
  }

  Scorer& scorer_;
  const tasks::Task& task_;
  TaskRun& run_;
  std::vector<std::string> names_;
  std::vector<int64_t> numbers_;
  std::vector<tasks::Question> questions_;
};

}  // namespace

bool score_all(Scorer& scorer, const tasks::Task& task, TaskRun& run, const ScoreOptions& options) {
  Scoring scoring(scorer, task, run);
  while (!options.stop.stop_requested()) {
    if (!scoring.read(options.together)) return run.tally().left() <= 0;
    scoring.score();
    if (options.on_step) options.on_step();
  }
  return false;
}

}  // namespace lithe::eval
