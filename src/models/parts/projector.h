#pragma once

#include <cstdint>
#include <vector>

#include "models/parts/weight_slot.h"
#include "nn/linear.h"
#include "ops/activation.h"

namespace lithe::models {

/// LLaVA's projector: `linear`, or `mlpNx_gelu`, Linear layers with an activation between them.
struct Projector {
  std::vector<int64_t>
      widths;  ///< Of what goes into each layer, and of what leaves the last; empty: the features are the rows.
  std::vector<nn::Linear> layers;
  ops::Activation activation = ops::Activation::gelu;

  /// x: [rows, tower width] -> [rows, hidden]
  at::Tensor operator()(const at::Tensor& x, const nn::RowNotes& notes = {}) const;
};

/// A projector of these widths whose tensors are still to be filled.
Projector shaped_projector(const std::vector<int64_t>& widths, bool bias, ops::Activation activation);

/// Every weight.
void visit(Projector& projector, const WeightVisitor& visitor);

}  // namespace lithe::models
