#pragma once

#include <functional>
#include <optional>

#include "eval/task_run.h"
#include "plan/plan.h"
#include "session/batch.h"
#include "session/session.h"
#include "tasks/task.h"

namespace lithe::eval {

/// How a model that answers in words is asked.
struct AskOptions {
  std::optional<plan::Plan> plan;  ///< Absent: the model's own.
  session::AnswerOptions how;      ///< Of every answer; its `cancel` ends the run after the current layer.
  bool gold = false;               ///< Scores the right answers (tasks::gold_answers) in place of asking for some.
  session::BatchLimits limits;
  std::function<void(const session::BatchState&)> on_step;  ///< After each pass.
};

/// Asks every question of a run that has no answer, several at once; pictures are prepared ahead. A question that fails
/// does not end the run. False if it was cancelled.
bool ask_all(const session::Session& session, const tasks::Task& task, TaskRun& run, const AskOptions& options);

}  // namespace lithe::eval
