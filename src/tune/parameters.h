#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/model.h"

namespace lithe::tune {

using at::Tensor;

/// A weight that learns: a float32 leaf of autograd that the optimiser changes in place.
struct Parameter {
  models::WeightName name;
  Tensor values;
};

/// Appends the weights that it visits and that learn. `parameters` must outlive it.
models::WeightVisitor learning_into(std::vector<Parameter>& parameters);

/// Every weight of the model that learns (LoadOptions::learns), in the order of `visit`.
std::vector<Parameter> learning_parameters(models::Model& model);

/// Learning rates and weight decay, with the names of transformers' TrainingArguments and LLaVA's.
struct Rates {
  double learning_rate = 5e-5;
  std::optional<double> mm_projector_lr, mm_vision_tower_lr, router_lr;  ///< Absent: learning_rate.
  std::optional<double> head_lr, cross_modal_lr;                         ///< Of METER.
  double weight_decay = 0;                                               ///< Not of norms and biases.
};

/// Parameters that share a rate and a decay.
struct ParameterGroup {
  std::string name;  ///< "weights", "projector, no decay", ..
  double learning_rate = 0, weight_decay = 0;
  std::vector<Parameter> parameters;
};

/// The groups of LLaVA's create_optimizer: those that decay and those that do not (norms and biases), the projector and
/// the tower apart if they have rates of their own. Without weight decay nothing is split by it. No group is empty.
/// Throws Error{bad_request} for a rate of what does not learn.
std::vector<ParameterGroup> group_parameters(std::vector<Parameter> parameters, const Rates& rates);

}  // namespace lithe::tune
