#include "nn/adapters/low_rank.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/softmax.h>

namespace lithe::nn {
namespace {

/// Block-diagonal product.  u: [rows, rank], weight: [hidden, rank / groups] -> [rows, hidden]
Tensor grouped(const Tensor& u, const Tensor& weight, const std::optional<Tensor>& bias, int64_t groups) {
  const Tensor parts = u.view({u.size(0), groups, u.size(1) / groups});
  const Tensor blocks = weight.view({groups, weight.size(0) / groups, weight.size(1)});
  const Tensor y = at::einsum("rgi,goi->rgo", {parts, blocks}).reshape({u.size(0), weight.size(0)});
  return bias ? y + *bias : y;
}

}  // namespace

Tensor GatedUp::operator()(const Tensor& u, const std::optional<Tensor>& gate) const {
  Tensor y = grouped(u, b_weight, b_bias, groups);
  if (gate) y = y * gate->narrow(1, 0, 1);
  if (d_weight) {
    const Tensor second = grouped(u, *d_weight, d_bias, groups);
    y = y + (gate ? second * gate->narrow(1, 1, 1) : second);
  }
  return y * scale;
}

Tensor AdapterGate::operator()(const Tensor& pooled) const { return at::softmax(router(pooled) / temperature, -1); }

}  // namespace lithe::nn
