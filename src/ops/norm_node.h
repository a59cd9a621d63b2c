#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace lithe::ops {

using at::Tensor;

/// `rms_norm` of the rows x[index] (absent: of all rows) as one node of autograd. It keeps x itself, which the residual
/// stream keeps anyway, not the rows that were gathered or normed. For an x and a gain that
/// `has_node` (own_loops.h) takes. It can be differentiated only once.  x: [rows, hidden] -> [chosen, hidden]
Tensor rms_norm_node(const Tensor& x, const std::optional<Tensor>& index, const Tensor& gain, double eps);

}  // namespace lithe::ops
