#include "nn/linear.h"

#include <ATen/TensorOperators.h>

namespace lithe::nn {

Tensor LowRank::added_to(Tensor y, const Tensor& x) const {
  // The scale is applied to the thin rows. No gradient needs the old y.
  const Tensor u = scale * a.product(x, std::nullopt);  // [rows, rank]
  return y.add_(b.product(u, std::nullopt));
}

}  // namespace lithe::nn
