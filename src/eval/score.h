#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "eval/task_run.h"
#include "tasks/task.h"

namespace lithe::eval {

/// A model with a head, which gives scores in the place of words.
class Scorer {
 public:
  virtual ~Scorer() = default;
  /// The names of the head's labels, as the model has them, else as the task tells them; empty ones are not known.
  /// Throws Error{bad_request} if the task has other labels than the head.
  virtual std::vector<std::string> labels(const tasks::Task&) const { return {}; }
  /// For each question the scores of the head's labels; if the task is a ranking, one for each of its candidates.
  /// Throws Error if one of them cannot be scored.
  virtual std::vector<std::vector<float>> score(std::span<const tasks::Question> questions,
                                                const tasks::Task& task) = 0;
};

struct ScoreOptions {
  int64_t together = 16;  ///< Questions that the scorer gets at once.
  std::stop_token stop;
  std::function<void()> on_step;  ///< After each of its calls.
};

/// Has every question of a run scored that has no answer. Of labels the best one is kept; of equal ones the first. If
/// the scorer refuses some questions together, it gets them one by one. False if it was stopped.
bool score_all(Scorer& scorer, const tasks::Task& task, TaskRun& run, const ScoreOptions& options);

}  // namespace lithe::eval
