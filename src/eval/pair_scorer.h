#pragma once

#include <string>
#include <vector>

#include "eval/score.h"
#include "plan/plan.h"
#include "session/pair_session.h"

namespace lithe::eval {

/// METER: a head's labels, or for a ranking how well a caption fits each picture.
class PairScorer final : public Scorer {
 public:
  /// `head`: as PairSession::head() takes it. `plan`: null for the model's own. All must outlive it. Throws
  /// Error{bad_request} if the model does not have this head.
  PairScorer(const session::PairSession& session, const std::string& head, const plan::Plan* plan);

  std::vector<std::string> labels(const tasks::Task& task) const override;
  std::vector<std::vector<float>> score(std::span<const tasks::Question> questions, const tasks::Task& task) override;

 private:
  std::vector<std::vector<float>> rank(std::span<const tasks::Question> questions, const tasks::Task& task) const;

  const session::PairSession& session_;
  const session::HeadInfo& head_;
  const plan::Plan* plan_;
};

}  // namespace lithe::eval
