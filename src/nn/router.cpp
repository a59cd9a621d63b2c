#include "nn/router.h"

namespace lithe::nn {

Tensor Router::operator()(const Tensor& x) const {
  const at::ScalarType type = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return weight.product(x.to(type), bias).squeeze(-1);
}

}  // namespace lithe::nn
