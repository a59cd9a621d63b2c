#include "tune/trainer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "tune/training_step.h"

namespace lithe::tune {
namespace {

bool tower_learns(const AdamW& optimiser) {
  bool learns = false;
  optimiser.for_each_parameter(
      [&](const Parameter& parameter) { learns |= parameter.name.part == models::Part::tower; });
  return learns;
}

}  // namespace

Trainer::Trainer(models::Model& model, plan::Plan plan, const TrainerOptions& options)
    : model_(model),
      plan_(std::move(plan)),
      options_(options),
      optimiser_(optimiser_for(model, options)),
      sums_(options.ranks, optimiser_.groups()) {
  model.decoder.recomputes = options.gradient_checkpointing;
  if (model.vision) model.vision->tower.recomputes = options.gradient_checkpointing && tower_learns(optimiser_);
}

StepResult Trainer::step(std::span<const MicroBatch> batches, double factor) {
  StepResult result;
  optimiser_.forget_gradients();
  sums_.new_step();
  const std::vector<MicroBatch> filled = filled_ones(batches);
  for (const MicroBatch& samples : filled) {
    const TrainingRows rows = pack_samples(model_, plan_, samples, options_.pack);
    const Tensor loss = summed_loss(model_.decoder, rows, result.kept.observer());
    const auto value = loss.item<double>();
    require_finite_loss(
        value, samples, [this](MicroBatch some) { return this->loss(some, true); }, optimiser_);
    result.loss += value;
    result.rows += rows.rows();
    result.labels += rows.learnt();
    if (&samples == &filled.back()) sums_.last_pass();
    if (loss.requires_grad()) loss.backward();
  }
  sums_.finish();
  sum_over(options_.ranks, result);
  if (!options_.ranks.alone()) result.kept.sum_over(options_.ranks, model_.decoder.config.layers);
  const double mean = 1.0 / static_cast<double>(std::max<int64_t>(result.labels, 1));
  optimiser_.scale_gradients(mean);
  result.loss *= mean;
  result.grad_norm = optimiser_.clip_gradients(options_.max_grad_norm);
  require_finite_gradient(result.grad_norm, batches, optimiser_);
  optimiser_.step(factor);
  return result;
}

double Trainer::loss(MicroBatch samples, bool dropout) const {
  const at::NoGradGuard no_gradient;
  PackOptions pack = options_.pack;
  pack.dropout = pack.dropout && dropout;
  const TrainingRows rows = pack_samples(model_, plan_, samples, pack);
  return summed_loss(model_.decoder, rows).item<double>() / static_cast<double>(std::max<int64_t>(rows.learnt(), 1));
}

}  // namespace lithe::tune
