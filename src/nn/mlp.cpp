#include "nn/mlp.h"

#include <ATen/TensorOperators.h>

namespace lithe::nn {

Tensor Mlp::operator()(const Tensor& x) const {
  if (!gate) return down(ops::activate(activation, up(x)));
  if (activation == ops::Activation::silu) return down(ops::swiglu((*gate)(x), up(x)));
  return down(ops::activate(activation, (*gate)(x)) * up(x));
}

}  // namespace lithe::nn
