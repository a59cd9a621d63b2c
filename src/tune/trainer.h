#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/model.h"
#include "plan/plan.h"
#include "tune/adamw.h"
#include "tune/exchange.h"
#include "tune/kept_rows.h"
#include "tune/loss.h"
#include "tune/ranks.h"
#include "tune/sample.h"

namespace lithe::tune {

struct TrainerOptions {
  Rates rates;
  AdamWOptions adamw;
  double max_grad_norm = 1.0;  ///< 0: gradients are not clipped.
  PackOptions pack;
  Ranks ranks;                          ///< Those that train together; each takes its own samples.
  bool gradient_checkpointing = false;  ///< A layer keeps its input only and runs again for its gradients.
};

/// What one optimiser step did, over all ranks.
struct StepResult {
  double loss = 0;       ///< Before the step, mean over the labels that count.
  double grad_norm = 0;  ///< Before clipping.
  int64_t rows = 0;      ///< That entered the decoder.
  int64_t labels = 0;    ///< That count in the loss.
  KeptRows kept;
};

/// Samples that run together in one pass.
using MicroBatch = std::span<const Sample>;

/// Trains what learns in a model under one plan. The blocks, the plan and the executor are those that serve. One thread
/// owns it.
class Trainer {
 public:
  /// The model must outlive the trainer. Throws Error{bad_request} if nothing in it learns.
  Trainer(models::Model& model, plan::Plan plan, const TrainerOptions& options);

  const plan::Plan& plan() const { return plan_; }
  void set_plan(plan::Plan plan) { plan_ = std::move(plan); }  ///< Of the next steps: a search draws plans.
  AdamW& optimiser() { return optimiser_; }
  const AdamW& optimiser() const { return optimiser_; }

  /// One optimiser step over micro-batches, whose gradients are summed, also over ranks. An empty one is passed over.
  /// `factor`: of every group's learning rate. Throws Error{bad_request} with the samples' names if the loss or the
  /// gradient is not finite; no weight has changed then.
  StepResult step(std::span<const MicroBatch> batches, double factor);

  /// The loss of samples without training on them: mean over the labels that count. `dropout`: with that of training.
  double loss(MicroBatch samples, bool dropout = false) const;

 private:
  models::Model& model_;
  plan::Plan plan_;
  TrainerOptions options_;
  AdamW optimiser_;
  GradientSums sums_;
};

}  // namespace lithe::tune
