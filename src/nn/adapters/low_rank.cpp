#include "nn/adapters/low_rank.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/softmax.h>

namespace lithe::nn {
namespace {

/// From this many rows per sequence on, mixing B and D once is cheaper than two products per row.
constexpr int64_t kRowsWorthMixing = 8;

/// Block-diagonal product.  u: [rows, rank], weight: [hidden, rank / groups] -> [rows, hidden]
Tensor grouped(const Tensor& u, const Tensor& weight, const std::optional<Tensor>& bias, int64_t groups) {
  const int64_t inputs = u.size(1) / groups, outputs = weight.size(0) / groups;
  std::vector<Tensor> parts;
  for (int64_t group = 0; group < groups; ++group)
    parts.push_back(at::linear(u.narrow(1, group * inputs, inputs), weight.narrow(0, group * outputs, outputs)));
  const Tensor y = at::cat(parts, 1);
  return bias ? y + *bias : y;
}

}  // namespace

Tensor GatedUp::operator()(const Tensor& u, const std::optional<Tensor>& gate,
                           const std::vector<int64_t>& offsets) const {
  const auto plain = [&] {
    const Tensor y = grouped(u, b_weight, b_bias, groups);
    return d_weight ? y + grouped(u, *d_weight, d_bias, groups) : y;
  };
  if (!gate || !d_weight) return scale * plain();
  const auto sequences = static_cast<int64_t>(offsets.size()) - 1;
  if (gate->size(0) != sequences) {  // one for each row
    return scale * (gate->narrow(1, 0, 1) * grouped(u, b_weight, b_bias, groups) +
                    gate->narrow(1, 1, 1) * grouped(u, *d_weight, d_bias, groups));
  }
  const bool mixes = u.size(0) >= kRowsWorthMixing * sequences && b_bias && d_bias;
  std::vector<Tensor> rows;
  for (int64_t i = 0; i < sequences; ++i) {
    const int64_t first = offsets[static_cast<size_t>(i)], count = offsets[static_cast<size_t>(i) + 1] - first;
    const Tensor part = u.narrow(0, first, count), w0 = gate->select(0, i).narrow(0, 0, 1),
                 w1 = gate->select(0, i).narrow(0, 1, 1);
    if (mixes) {
      const Tensor bias = scale * (w0 * *b_bias + w1 * *d_bias);
      rows.push_back(grouped(part, scale * (w0 * b_weight + w1 * *d_weight), bias, groups));
    } else {
      rows.push_back(scale *
                     (w0 * grouped(part, b_weight, b_bias, groups) + w1 * grouped(part, *d_weight, d_bias, groups)));
    }
  }
  return rows.size() == 1 ? rows.front() : at::cat(rows);
}

Tensor AdapterGate::operator()(const Tensor& pooled) const {
  return at::softmax(router(pooled) / temperature, -1);
}

}  // namespace lithe::nn
