#include "nn/mlp.h"

#include <ATen/TensorOperators.h>

namespace lithe::nn {

Tensor Mlp::operator()(const Tensor& x, const RowNotes& notes) const {
  if (!gate) return down(ops::activate(activation, up(x, notes)), notes);
  if (activation == ops::Activation::silu)
    return down(ops::swiglu((*gate)(x, notes), up(x, notes), in_bfloat16), notes);
  return down(ops::activate(activation, (*gate)(x, notes)) * up(x, notes), notes);
}

}  // namespace lithe::nn
