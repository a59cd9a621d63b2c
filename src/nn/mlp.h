#pragma once

#include <optional>

#include "nn/linear.h"
#include "ops/activation.h"

namespace lithe::nn {

/// The feed-forward network: down(act(gate x) * up x) if it has a gate (LLaMA), else down(act(up x)) (CLIP,
/// projectors).
struct Mlp {
  std::optional<Linear> gate;
  Linear up, down;
  ops::Activation activation = ops::Activation::silu;
  bool in_bfloat16 = false;      ///< In training, what is kept for the gradients is rounded to bfloat16.
  std::optional<Linear> joined;  ///< On a GPU: gate and up as one product (models/joined_products.h).

  /// x: [rows, hidden] -> [rows, hidden]
  Tensor operator()(const Tensor& x, const RowNotes& notes = {}) const;
};

}  // namespace lithe::nn
