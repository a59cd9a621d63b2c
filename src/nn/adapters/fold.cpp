#include "nn/adapters/fold.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/zeros.h>

namespace lithe::nn {
namespace {

Tensor wide(const Tensor& x) {
  return x.to(at::kDouble);
}

Tensor wide(const Weight& weight) {
  return weight.widened(at::kDouble);
}

/// A block-diagonal matrix with its zeros.  [hidden, rank / groups] -> [hidden, rank]
Tensor written_out(const Tensor& weight, int64_t groups) {
  const int64_t rows = weight.size(0) / groups, columns = weight.size(1);
  Tensor whole = at::zeros({weight.size(0), columns * groups}, weight.options().dtype(at::kDouble));
  for (int64_t group = 0; group < groups; ++group)
    whole.narrow(0, group * rows, rows).narrow(1, group * columns, columns).copy_(weight.narrow(0, group * rows, rows));
  return whole;
}

/// M and c0.
struct MixedUp {
  Tensor matrix, offset;
};

MixedUp mixed(const GatedUp& up, const std::optional<Tensor>& gate) {
  const auto path = [&](const Tensor& weight, const std::optional<Tensor>& bias, int64_t i) {
    const Tensor matrix = up.scale * written_out(weight, up.groups);
    const Tensor offset = bias ? up.scale * wide(*bias) : at::zeros({weight.size(0)}, matrix.options());
    if (!gate) return MixedUp{matrix, offset};
    const Tensor w = wide(gate->select(0, i));
    return MixedUp{w * matrix, w * offset};
  };
  const MixedUp b = path(up.b_weight, up.b_bias, 0);
  if (!up.d_weight) return b;
  const MixedUp d = path(*up.d_weight, up.d_bias, 1);
  return {b.matrix + d.matrix, b.offset + d.offset};
}

}  // namespace

Tensor AdapterMap::matrix() const {
  const Tensor whole = at::eye(left.size(0), left.options()) + left.matmul(right);
  return gain ? gain->unsqueeze(1) * whole : whole;
}

AdapterMap map_of(const RepAdapter& adapter, const std::optional<Tensor>& gate) {
  const MixedUp up = mixed(adapter.up, gate);
  const Tensor offset = adapter.down.bias ? up.matrix.matmul(wide(*adapter.down.bias)) + up.offset : up.offset;
  return {std::nullopt, up.matrix, whole_weight(adapter.down), offset};
}

AdapterMap map_of(const Pia& pia, const std::optional<Tensor>& gate, const Tensor& mean) {
  const MixedUp up = mixed(pia.up, gate);
  const Tensor constant = pia.own.bias ? wide(*pia.own.bias) + wide(mean) : wide(mean);
  const Tensor offset = 0.5 * up.matrix.matmul(constant) + up.offset;
  AdapterMap map{std::nullopt, 0.5 * up.matrix, whole_weight(pia.own), offset};
  if (pia.gain) map.gain = wide(*pia.gain);
  if (pia.gain) map.offset = *map.gain * offset;
  if (pia.shift) map.offset = map.offset + wide(*pia.shift);
  return map;
}

Tensor whole_weight(const Linear& linear) {
  const Tensor weight = wide(linear.weight);
  if (!linear.low_rank) return weight;
  return weight + linear.low_rank->scale * wide(linear.low_rank->b).matmul(wide(linear.low_rank->a));
}

Linear folded(const Linear& linear, const AdapterMap& map) {
  const Tensor weight = whole_weight(linear), scaled = map.gain ? weight * *map.gain : weight;
  // W R as W + (W M) A: products as thin as the adapter.
  return {scaled + scaled.matmul(map.left).matmul(map.right), folded_bias(linear, map.offset)};
}

Tensor folded_bias(const Linear& linear, const Tensor& offset) {
  const Tensor added = wide(offset);
  // b' = W r; published code takes W' r.
  Tensor bias = wide(linear.weight).matmul(added);
  if (linear.low_rank)
    bias = bias + linear.low_rank->scale * wide(linear.low_rank->b).matmul(wide(linear.low_rank->a).matmul(added));
  return linear.bias ? bias + wide(*linear.bias) : bias;
}

Linear folded(const Linear& linear, const Tensor& gain) {
  return {whole_weight(linear) * wide(gain), linear.bias};
}

}  // namespace lithe::nn
