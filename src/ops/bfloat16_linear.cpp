#include "ops/bfloat16_linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/error.h"
#include "ops/learns.h"
#include "ops/matmul.h"
#include "ops/weight_kernels.h"

namespace lithe::ops {
namespace {

namespace autograd = torch::autograd;

Tensor rounded(const Tensor& x) {
  return x.to(at::kBFloat16);
}

struct Bfloat16Linear : autograd::Function<Bfloat16Linear> {
  static Tensor forward(autograd::AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias) {
    context->save_for_backward({weight.requires_grad() ? x : Tensor(), weight});
    context->saved_data["bias"] = bias.has_value();
    Tensor y = at::linear(rounded(x), rounded(weight)).to(x.scalar_type());
    return bias ? y.add_(bias->to(x.scalar_type())) : y;
  }

  static autograd::variable_list backward(autograd::AutogradContext* context, autograd::variable_list gradients) {
    constexpr size_t kX = 0, kWeight = 1, kBias = 2;  // among the arguments
    const autograd::variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &y = gradients[0], slopes = rounded(y);
    const bool learns_bias = context->saved_data["bias"].toBool() && context->needs_input_grad(kBias);
    return {context->needs_input_grad(kX) ? at::mm(slopes, rounded(weight)).to(y.scalar_type()) : Tensor(),
            context->needs_input_grad(kWeight) ? at::mm(slopes.t(), rounded(x)).to(weight.scalar_type()) : Tensor(),
            learns_bias ? y.sum(0) : Tensor()};
  }
};

}  // namespace

Tensor bfloat16_linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  require(x.dim() == 2 && x.size(1) == weight.size(1), Fault::internal, "bfloat16_linear: x is ", x.size(-1),
          " wide, the weight takes ", weight.size(1));
  const bool has_gradient = learns(x) || learns(weight) || (bias && learns(*bias));
  if (x.size(0) <= kMostDotRows && !has_gradient) return ops::linear(x, weight, bias);
  return Bfloat16Linear::apply(x, weight, bias);
}

}  // namespace lithe::ops
