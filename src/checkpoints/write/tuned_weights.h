#pragma once

#include <map>

#include "checkpoints/write/weight_file.h"
#include "models/model.h"

namespace lithe::models {

/// A weight that learned, or that the model's folder had not.
struct TunedWeight {
  MadeWeight made;  ///< In float32.
  bool is_new = false;
};

/// Every weight of a model that learned or is new, but for the factors of LoRA. New adapters have the shapes of
/// published checkpoints, in which the matrices of an adapter are convolutions of width 1. The model must outlive them.
std::map<WeightName, TunedWeight> tuned_weights(const Model& model);

}  // namespace lithe::models
