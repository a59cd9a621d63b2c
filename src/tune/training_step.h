#pragma once

#include <algorithm>
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

/// The batches that hold samples: others have only records that were left out.
template <class Samples>
std::vector<Samples> filled_ones(std::span<const Samples> batches) {
  std::vector<Samples> filled;
  for (const Samples& batch : batches)
    if (!batch.empty()) filled.push_back(batch);
  return filled;
}

inline constexpr size_t kNamed = 4;  ///< Samples that a sentence names.

/// "a, b, c, d and 124 more"
std::string some_names(const std::vector<std::string>& names);

template <class Sample>
std::vector<std::string> names_of(std::span<const Sample> samples) {
  std::vector<std::string> names;
  for (const Sample& sample : samples) names.push_back(sample.name);
  return names;
}

/// The samples whose own loss is not finite. All of them if none is so alone, or if each of the first few is, as after
/// weights got too large. `loss_of`: of some samples.
template <class Sample, class Loss>
std::vector<std::string> names_to_look_at(std::span<const Sample> samples, const Loss& loss_of) {
  std::vector<std::string> names;
  size_t i = 0;
  for (; i < samples.size() && (i < kNamed || names.size() < i); ++i)
    if (!std::isfinite(loss_of(samples.subspan(i, 1)))) names.push_back(samples[i].name);
  return names.empty() || i < samples.size() ? names_of(samples) : names;
}

/// Throws Error{bad_request} with the names of samples to look at; the gradients so far are gone then. `loss_of`: the
/// loss of some samples, without training on them.
template <class Sample, class Loss>
void require_finite_loss(double loss, std::span<const Sample> samples, const Loss& loss_of, AdamW& optimiser) {
  if (std::isfinite(loss)) return;
  optimiser.forget_gradients();
  fail(Fault::bad_request, "the loss is not finite at ", some_names(names_to_look_at(samples, loss_of)),
       "; lower learning_rate, or look at these samples");
}

/// Throws Error{bad_request} with names of the step's samples; no weight has changed then.
template <class Sample>
void require_finite_gradient(double norm, std::span<const std::span<const Sample>> batches, AdamW& optimiser) {
  if (std::isfinite(norm)) return;
  optimiser.forget_gradients();
  std::vector<std::string> names;
  for (const std::span<const Sample>& samples : batches)
    for (std::string& name : names_of(samples)) names.push_back(std::move(name));
  fail(Fault::bad_request, "the gradient is not finite at ", some_names(names),
       "; lower learning_rate, or look at these samples");
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
