#include "nn/mlp.h"

#include <ATen/TensorOperators.h>

namespace lithe::nn {

Tensor Mlp::operator()(const Tensor& x, RowDraws draws) const {
  if (!gate) return down(ops::activate(activation, up(x, draws)), draws);
  if (activation == ops::Activation::silu)
    return down(ops::swiglu((*gate)(x, draws), up(x, draws), in_bfloat16), draws);
  return down(ops::activate(activation, (*gate)(x, draws)) * up(x, draws), draws);
}

}  // namespace lithe::nn
