#pragma once

#include <map>

#include "checkpoints/write/weight_file.h"
#include "models/model.h"

namespace lithe::models {

/// A weight of a model, as it is to be written.
struct TunedWeight {
  MadeWeight made;  ///< In float32.
  bool learned = false;
  bool is_new = false;  ///< The model's folder has not got it.
};

/// Every weight but the factors of LoRA. Adapters have the shapes of published checkpoints, in which their matrices are
/// convolutions of width 1. The model must outlive them.
std::map<WeightName, TunedWeight> held_weights(const Model& model);

}  // namespace lithe::models
