#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/meter/additions.h"
#include "models/meter/meter.h"
#include "plan/plan.h"
#include "tune/adamw.h"
#include "tune/exchange.h"
#include "tune/meter_sample.h"
#include "tune/ranks.h"

namespace lithe::tune {

/// Samples of METER that run together.
using MeterBatch = std::span<const MeterSample>;

/// What one optimiser step over METER did, over all ranks.
struct MeterStep {
  double loss = 0;  ///< Before the step, mean over labels.
  double grad_norm = 0;
  int64_t rows = 0;    ///< Of texts and pictures that entered the streams.
  int64_t labels = 0;  ///< That count in the loss: one a sample, or of mlm one a hidden token.
};

/// Every weight of METER that learns, in the order of `visit`.
std::vector<Parameter> learning_parameters(models::Meter& meter);

/// Trains one head of METER, and whatever else learns, under one plan. The blocks and the executor are those that
/// serve.
class MeterTrainer {
 public:
  struct Options {
    Rates rates;
    AdamWOptions adamw;
    double max_grad_norm = 1.0;
    bool dropout = false;  ///< Steps leave out what the adapters' dropouts say.
    Ranks ranks;           ///< Those that train together; each takes its own samples.
  };
  /// The meter must outlive the trainer. Throws Error{bad_request} if nothing in it learns.
  MeterTrainer(models::Meter& meter, models::MeterTask task, plan::Plan plan, const Options& options);

  const plan::Plan& plan() const { return plan_; }
  void set_plan(plan::Plan plan);
  AdamW& optimiser() { return optimiser_; }
  const AdamW& optimiser() const { return optimiser_; }

  /// One optimiser step over batches, whose gradients are those of the mean over all labels, also of other ranks.
  /// `factor`: of every group's learning rate. Throws Error{bad_request} with the samples' names if the loss or the
  /// gradient is not finite; no weight has changed then.
  MeterStep step(std::span<const MeterBatch> batches, double factor);

  /// The mean loss of samples over their labels, without training on them. `dropout`: with that of training.
  double loss(MeterBatch samples, bool dropout = false) const;

  /// What the head gives.  -> [samples, classes]; of irtr each sample's text and others of the batch; of mlm
  /// [hidden tokens, vocabulary]
  Tensor logits(MeterBatch samples, bool dropout = false) const;

 private:
  Tensor mean_loss(MeterBatch samples, bool dropout) const;

  models::Meter& meter_;
  models::MeterTask task_;
  plan::Plan plan_, poolers_;  // the second as Streams::for_poolers makes it of the first
  Options options_;
  AdamW optimiser_;
  GradientSums sums_;
};

}  // namespace lithe::tune
