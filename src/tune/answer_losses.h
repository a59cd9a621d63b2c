#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/data_set.h"
#include "models/model.h"
#include "plan/cost.h"
#include "plan/plan.h"
#include "tune/packing.h"

namespace lithe::tune {

/// Prompts of one shape.
struct CountedPrompts {
  plan::PromptShape shape;
  int64_t count = 0;
};

/// Records whose answers run under many plans. Pictures go through the tower once, under the first plan, so the plans
/// must agree in what the tower runs. Holds the embeddings of all rows.
class AnswerLosses {
 public:
  /// The model must outlive this. Throws Error that names the record.
  AnswerLosses(const models::Model& model, plan::Plan first, const data::DataSet& set,
               std::span<const int64_t> records);

  /// The mean over all tokens of answers. Throws Error{bad_file} if it is not finite.
  double nll(const plan::Plan& plan) const;
  const std::vector<CountedPrompts>& prompts() const { return prompts_; }

 private:
  void add(TrainingRows rows);

  const models::Model& model_;
  const plan::Plan first_;
  std::vector<TrainingRows> passes_;
  std::vector<CountedPrompts> prompts_;
  int64_t tokens_ = 0;
};

}  // namespace lithe::tune
