#pragma once

#include <functional>
#include <optional>
#include <span>

#include "eval/task_run.h"
#include "plan/plan.h"
#include "session/batch.h"
#include "session/session.h"
#include "tasks/task.h"

namespace lithe::eval {

/// A run of the questions under one plan.
struct PlannedRun {
  std::optional<plan::Plan> plan;  ///< Absent: the model's own.
  TaskRun* run = nullptr;          ///< Outlives this.
};

/// How a model that answers in words is asked.
struct AskOptions {
  session::AnswerOptions how;  ///< Of every answer; its `cancel` ends the run after the current layer.
  bool gold = false;           ///< Scores the right answers (tasks::gold_answers) in place of asking for some.
  session::BatchLimits limits;
  std::function<void(const session::BatchState&)> on_step;  ///< After each pass.
};

/// Asks every question that has no answer in one of the runs, under the plan of each such run: several questions at
/// once, each under all plans together. Pictures are prepared ahead, once for all plans, and go through the tower once
/// for all plans that leave it the same. A question that fails does not end a run. False if it was cancelled.
bool ask_all(const session::Session& session, const tasks::Task& task, std::span<const PlannedRun> runs,
             const AskOptions& options);

}  // namespace lithe::eval
