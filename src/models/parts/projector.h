#pragma once

#include <vector>

#include "nn/linear.h"
#include "ops/activation.h"

namespace lithe::models {

/// LLaVA's projector: `linear`, or `mlpNx_gelu`, Linear layers with an activation between them.
struct Projector {
  std::vector<nn::Linear> layers;
  ops::Activation activation = ops::Activation::gelu;

  /// x: [rows, tower width] -> [rows, hidden]
  at::Tensor operator()(const at::Tensor& x) const;
};

}  // namespace lithe::models
