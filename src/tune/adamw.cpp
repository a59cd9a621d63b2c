#include "tune/adamw.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

namespace lithe::tune {

AdamW::AdamW(std::vector<ParameterGroup> groups, const AdamWOptions& options)
    : options_(options), groups_(std::move(groups)) {
  for (const ParameterGroup& group : groups_) {
    State& state = states_.emplace_back();
    for (const Parameter& parameter : group.parameters) {
      const Tensor values = parameter.values.detach();
      state.averages.push_back(at::zeros_like(values));
      state.average_squares.push_back(at::zeros_like(values));
      state.steps.push_back(at::zeros({}, values.options()));
    }
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
  for (size_t g = 0; g < groups_.size(); ++g) {
    std::vector<Tensor> values, gradients, averages, average_squares, steps;
    for (size_t i = 0; i < groups_[g].parameters.size(); ++i) {
      const Tensor& parameter = groups_[g].parameters[i].values;
      if (!parameter.grad().defined()) continue;
      values.push_back(parameter.detach());
      gradients.push_back(parameter.grad());
      averages.push_back(states_[g].averages[i]);
      average_squares.push_back(states_[g].average_squares[i]);
      steps.push_back(states_[g].steps[i].add_(1));
    }
    if (values.empty()) continue;
    at::_fused_adamw_(values, gradients, averages, average_squares, {}, steps, groups_[g].learning_rate * factor,
                      options_.beta1, options_.beta2, groups_[g].weight_decay, options_.epsilon, false, false);
  }
}

void AdamW::forget_gradients() {
  for_each_gradient([](Tensor& gradient) { gradient.reset(); });
}

void AdamW::for_each_gradient(const std::function<void(Tensor&)>& visitor) const {
  for (const ParameterGroup& group : groups_) {
    for (const Parameter& parameter : group.parameters) {
      Tensor values = parameter.values;
      if (values.grad().defined()) visitor(values.mutable_grad());
    }
  }
}

void AdamW::visit_state(const std::function<void(const std::string&, Tensor&)>& visitor) {
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (size_t i = 0; i < groups_[g].parameters.size(); ++i) {
      const std::string name = models::text_of(groups_[g].parameters[i].name);
      visitor(name + ".average", states_[g].averages[i]);
      visitor(name + ".average_square", states_[g].average_squares[i]);
      visitor(name + ".steps", states_[g].steps[i]);
    }
  }
}

}  // namespace lithe::tune
