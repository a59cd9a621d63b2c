#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tune/adamw.h"
#include "tune/ranks.h"

// What the steps of every trainer have in common, whatever its model and its samples are.
namespace lithe::tune {

/// Over what learns in a model. Throws Error{bad_request} if nothing does.
template <class Model, class Options>
AdamW optimiser_for(Model& model, const Options& options) {
  std::vector<Parameter> parameters = learning_parameters(model);
  require(!parameters.empty(), Fault::bad_request, model.name, ": nothing learns; name the weights under `train`");
  return {group_parameters(std::move(parameters), options.rates), options.adamw, options.ranks};
}

/// How much samples count in the loss.
template <class Samples>
int64_t labels_in(const Samples& samples) {
  int64_t labels = 0;
  for (const auto& sample : samples) labels += sample.learnt();
  return labels;
}

template <class Sample>
std::string names_of(std::span<const Sample> samples) {
  std::string names;
  for (const Sample& sample : samples) names += (names.empty() ? "" : ", ") + sample.name;
  return names;
}

/// Throws Error{bad_request} with the samples' names; the gradients so far are gone then.
template <class Sample>
void require_finite_loss(double loss, std::span<const Sample> samples, AdamW& optimiser) {
  if (std::isfinite(loss)) return;
  optimiser.forget_gradients();
  fail(Fault::bad_request, "the loss is not finite at ", names_of(samples),
       "; lower learning_rate, or look at these samples");
}

/// Throws Error{bad_request} with the names of the step's samples; no weight has changed then.
template <class Sample>
void require_finite_gradient(double norm, std::span<const std::span<const Sample>> batches, AdamW& optimiser) {
  if (std::isfinite(norm)) return;
  optimiser.forget_gradients();
  std::string names;
  for (const std::span<const Sample>& samples : batches)
    if (!samples.empty()) names += (names.empty() ? "" : ", ") + names_of(samples);
  fail(Fault::bad_request, "the gradient is not finite at ", names, "; lower learning_rate, or look at these samples");
}

/// Adds up over ranks what a step did; its loss is a sum so far.
template <class Step>
void sum_over(const Ranks& ranks, Step& step) {
  if (ranks.alone()) return;
  std::array<double, 3> sums{step.loss, static_cast<double>(step.rows), static_cast<double>(step.labels)};
  ranks.sum(sums);
  step.loss = sums[0];
  step.rows = static_cast<int64_t>(sums[1]);
  step.labels = static_cast<int64_t>(sums[2]);
}

}  // namespace lithe::tune
