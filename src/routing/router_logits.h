#pragma once

#include <ATen/core/Tensor.h>

#include "nn/router.h"

namespace lithe::routing {

using at::Tensor;

/// The router's logits of the rows hidden[index]. In training one node of autograd, which keeps the layer's input, as
/// others do, and not the rows that were gathered; it can be differentiated only once.  hidden: [rows, hidden] ->
/// [index.size()]
Tensor router_logits(const nn::Router& router, const Tensor& hidden, const Tensor& index);

}  // namespace lithe::routing
