#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace lithe::ops {

using at::Tensor;

/// silu(gate) * up, each row times its weight if there is one, as one node of autograd. It keeps what it is given and
/// nothing else, gate and up rounded to bfloat16 if `rounds` (training in bfloat16). For tensors that `has_node`
/// (own_loops.h) takes, all of one type. It can be differentiated only once. gate, up: [rows, width], weight: [rows] ->
/// [rows, width]
Tensor swiglu_node(const Tensor& gate, const Tensor& up, const std::optional<Tensor>& weight = std::nullopt,
                   bool rounds = false);

}  // namespace lithe::ops
