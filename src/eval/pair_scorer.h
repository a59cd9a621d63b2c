#pragma once

#include <optional>

#include "eval/score.h"
#include "plan/plan.h"
#include "session/pair_session.h"

namespace lithe::eval {

/// A head of METER.
class PairScorer : public Scorer {
 public:
  /// The session must outlive it. `plan`: absent: the model's own.
  PairScorer(const session::PairSession& session, const session::HeadInfo& head, std::optional<plan::Plan> plan);

  /// Of a ranking, give it many questions at once: every call computes the features of all candidates anew.
  std::vector<std::vector<float>> score(std::span<const tasks::Question> questions, const tasks::Task& task) override;

 private:
  const session::PairSession& session_;
  const session::HeadInfo& head_;
  const std::optional<plan::Plan> plan_;
};

/// The head for a task: the one that ranks, or the one that has the task's labels. Throws Error{bad_request} if METER
/// has none for it.
std::string head_for(const tasks::TaskInfo& task);

}  // namespace lithe::eval
