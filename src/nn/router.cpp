#include "nn/router.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>

namespace lithe::nn {

Tensor Router::operator()(const Tensor& x) const {
  const at::ScalarType type = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const std::optional<Tensor> offset = bias ? std::optional<Tensor>(bias->to(type)) : std::nullopt;
  return at::linear(x.to(type), weight.to(type), offset).squeeze(-1);
}

}  // namespace lithe::nn
