#pragma once

#include <ATen/core/Tensor.h>

#include "nn/linear.h"

namespace lithe::nn {

/// The sum over rows of the cross entropy of head(x) and a target. Logits are formed for some rows at a time, and none
/// are kept: the gradients are computed beside the loss, in one node of autograd that can be differentiated only once.
/// x: [rows, in], targets: [rows] int64, draws: [rows] of dropout, or empty -> []
Tensor summed_cross_entropy(const Linear& head, const Tensor& x, const Tensor& targets, RowDraws draws = {});

}  // namespace lithe::nn
