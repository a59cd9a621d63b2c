#include "tune/adamw.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>

#include "tune/exchange.h"

namespace lithe::tune {

AdamW::AdamW(std::vector<ParameterGroup> groups, const AdamWOptions& options, Ranks ranks)
    : options_(options), ranks_(std::move(ranks)), groups_(std::move(groups)) {
  share_out();
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (size_t i = 0; i < shares_[g].size(); ++i)
      if (shares_[g][i].owner == ranks_.rank()) shares_[g][i].state = new_state(groups_[g].parameters[i]);
  }
}

AdamW::State AdamW::new_state(const Parameter& parameter) {
  const Tensor values = parameter.values.detach();
  return {at::zeros_like(values), at::zeros_like(values), at::zeros({}, values.options())};
}

/// The largest parameter first, each to the rank that has least so far.
void AdamW::share_out() {
  std::vector<std::pair<int64_t, Share*>> all;  // numbers of a parameter, and where its share is
  for (const ParameterGroup& group : groups_) shares_.emplace_back(group.parameters.size());
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (size_t i = 0; i < shares_[g].size(); ++i)
      all.emplace_back(groups_[g].parameters[i].values.numel(), &shares_[g][i]);
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<int64_t> load(static_cast<size_t>(ranks_.size()));
  for (const auto& [size, share] : all) {
    const auto least = std::min_element(load.begin(), load.end());
    share->owner = least - load.begin();
    *least += size;
  }
}

void AdamW::scale_gradients(double factor) {
  const at::NoGradGuard no_gradient;
  for_each_gradient([&](Tensor& gradient) { gradient.mul_(factor); });
}

double AdamW::clip_gradients(double longest) {
  const at::NoGradGuard no_gradient;
  double squares = 0;
  for_each_gradient([&](const Tensor& gradient) {
    squares += std::pow(at::linalg_vector_norm(gradient, 2, {}, false, at::kDouble).item<double>(), 2);
  });
  const double norm = std::sqrt(squares), factor = longest / (norm + 1e-6);
  if (longest > 0 && factor < 1) scale_gradients(factor);
  return norm;
}

void AdamW::step(double factor) {
  const at::NoGradGuard no_gradient;
  std::vector<Shared> changed;
  for (size_t g = 0; g < groups_.size(); ++g) {
    std::vector<Tensor> values, gradients, averages, average_squares, steps;
    for (size_t i = 0; i < groups_[g].parameters.size(); ++i) {
      const Tensor& parameter = groups_[g].parameters[i].values;
      if (!parameter.grad().defined()) continue;
      const Share& share = shares_[g][i];
      changed.push_back({parameter.detach(), share.owner});
      if (!share.state) continue;
      values.push_back(parameter.detach());
      gradients.push_back(parameter.grad());
      averages.push_back(share.state->average);
      average_squares.push_back(share.state->average_square);
      steps.push_back(share.state->steps.add_(1));
    }
    if (values.empty()) continue;
    at::_fused_adamw_(values, gradients, averages, average_squares, {}, steps, groups_[g].learning_rate * factor,
                      options_.beta1, options_.beta2, groups_[g].weight_decay, options_.epsilon, false, false);
  }
  share_values(ranks_, changed);
}

void AdamW::share_parameters() const {
  std::vector<Shared> all;
  for_each_parameter([&](const Parameter& parameter) { all.push_back({parameter.values.detach(), 0}); });
  share_values(ranks_, all);
}

void AdamW::forget_gradients() {
  for_each_gradient([](Tensor& gradient) { gradient.reset(); });
}

void AdamW::for_each_parameter(const std::function<void(const Parameter&)>& visitor) const {
  for (const ParameterGroup& group : groups_)
    for (const Parameter& parameter : group.parameters) visitor(parameter);
}

void AdamW::for_each_gradient(const std::function<void(Tensor&)>& visitor) const {
  for_each_parameter([&](const Parameter& parameter) {
    Tensor values = parameter.values;
    if (values.grad().defined()) visitor(values.mutable_grad());
  });
}

void AdamW::visit(const Parameter& parameter, const State& state, const StateVisitor& visitor) {
  const std::string name = models::text_of(parameter.name);
  visitor(name + ".average", state.average);
  visitor(name + ".average_square", state.average_square);
  visitor(name + ".steps", state.steps);
}

void AdamW::visit_state(const StateVisitor& visitor) const {
  for (size_t g = 0; g < groups_.size(); ++g)
    for (size_t i = 0; i < groups_[g].parameters.size(); ++i)
      if (const std::optional<State>& state = shares_[g][i].state) visit(groups_[g].parameters[i], *state, visitor);
}

void AdamW::gather_state(const StateVisitor& visitor) const {
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (size_t i = 0; i < groups_[g].parameters.size(); ++i) {
      const Share& share = shares_[g][i];
      const State state = share.state ? *share.state : new_state(groups_[g].parameters[i]);
      for (const Tensor& values : {state.average, state.average_square, state.steps})
        ranks_.begin_share(numbers_of(values), share.owner);
      ranks_.finish();
      visit(groups_[g].parameters[i], state, visitor);
    }
  }
}

}  // namespace lithe::tune
