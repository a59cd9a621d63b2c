#include "nn/mlp.h"

#include <ATen/TensorOperators.h>

#include <vector>

namespace lithe::nn {

Tensor Mlp::operator()(const Tensor& rows, const RowNotes& notes) const {
  const Tensor x = up.weight.input(rows);
  if (!gate) return down(ops::activate(activation, up(x, notes)), notes);
  if (activation == ops::Activation::silu && joined && notes.loras.empty()) {
    const std::vector<Tensor> halves = (*joined)(x).chunk(2, 1);
    return down(ops::swiglu(halves[0], halves[1]), notes);
  }
  if (activation == ops::Activation::silu)
    return down(ops::swiglu((*gate)(x, notes), up(x, notes), in_bfloat16), notes);
  return down(ops::activate(activation, (*gate)(x, notes)) * up(x, notes), notes);
}

}  // namespace lithe::nn
