#include "ops/low_bit.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "base/error.h"
#include "ops/learns.h"
#include "ops/matmul.h"

namespace lithe::ops {
namespace {

namespace autograd = torch::autograd;

struct LowBitLinear : autograd::Function<LowBitLinear> {
  static Tensor forward(autograd::AutogradContext* context, const Tensor& x, const std::optional<Tensor>& bias,
                        const LowBit& weight, Compute compute) {
    context->save_for_backward({weight.codes, weight.scales, weight.offsets});
    context->saved_data["bias"] = bias.has_value();
    context->saved_data["kind"] = static_cast<int64_t>(weight.kind);
    context->saved_data["width"] = weight.width;
    context->saved_data["group"] = weight.group;
    return low_bit_linear(x, weight, bias, compute);
  }

  static autograd::variable_list backward(autograd::AutogradContext* context, autograd::variable_list gradients) {
    const autograd::variable_list saved = context->get_saved_variables();
    const auto number = [&](const char* name) { return context->saved_data[name].toInt(); };
    const LowBit weight{
        static_cast<WeightKind>(number("kind")), number("width"), number("group"), saved[0], saved[1], saved[2]};
    constexpr size_t kX = 0, kBias = 1;  // among the arguments
    const bool learns_bias = context->saved_data["bias"].toBool() && context->needs_input_grad(kBias);
    return {context->needs_input_grad(kX) ? low_bit_transposed(gradients[0], weight) : Tensor(),
            learns_bias ? gradients[0].sum(0) : Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

int64_t LowBit::bytes() const {
  return static_cast<int64_t>(codes.nbytes() + scales.nbytes() + (offsets.defined() ? offsets.nbytes() : 0));
}

WeightView LowBit::view() const {
  return {.kind = kind,
          .data = codes.const_data_ptr(),
          .outs = codes.size(0),
          .width = width,
          .group = group,
          .scales = scales.const_data_ptr<float>(),
          .offsets = offsets.defined() ? offsets.const_data_ptr<float>() : nullptr};
}

LowBit LowBit::rows(int64_t first, int64_t count) const {
  const auto some = [&](const Tensor& all) { return all.defined() ? all.narrow(0, first, count) : all; };
  return {kind, width, group, some(codes), some(scales), some(offsets)};
}

Tensor widened(const LowBit& weight) {
  const WeightView view = weight.view();
  Tensor wide = at::empty({view.outs, view.width}, at::kFloat);
  widen_rows(view, 0, view.outs, wide.mutable_data_ptr<float>());
  return wide;
}

Tensor low_bit_linear(const Tensor& x, const LowBit& weight, const std::optional<Tensor>& bias, Compute compute) {
  require(x.dim() == 2 && x.size(1) == weight.width && x.scalar_type() == at::kFloat && x.device().is_cpu(),
          Fault::internal, "low_bit_linear: x is ", x.size(-1), " wide, the weight takes ", weight.width,
          " values of float32 on the CPU");
  if (learns(x) || (bias && learns(*bias))) return LowBitLinear::apply(x, bias, weight, compute);
  Tensor y = stored_product(x, weight.view(), compute);
  if (bias) y.add_(bias->to(at::kFloat));
  return y;
}

Tensor low_bit_transposed(const Tensor& y, const LowBit& weight) {
  require(y.dim() == 2 && y.size(1) == weight.outs() && !learns(y), Fault::internal, "low_bit_transposed: y is ",
          y.size(-1), " wide, the weight gives ", weight.outs(), ", and the product has no gradient");
  return stored_transposed(y, weight.view());
}

Tensor low_bit_rows(const LowBit& weight, const Tensor& ids) {
  const auto picked = [&](const Tensor& all) { return all.defined() ? all.index_select(0, ids) : all; };
  return widened(
      {weight.kind, weight.width, weight.group, picked(weight.codes), picked(weight.scales), picked(weight.offsets)});
}

}  // namespace lithe::ops
