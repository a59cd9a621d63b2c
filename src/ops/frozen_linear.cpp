#include "ops/frozen_linear.h"

#include <torch/csrc/autograd/custom_function.h>

#include "ops/matmul.h"

namespace lithe::ops {
namespace {

namespace autograd = torch::autograd;

struct FrozenLinear : autograd::Function<FrozenLinear> {
  /// `apply` calls this without gradients, so `linear` takes the kernels of inference.
  static Tensor forward(autograd::AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias) {
    context->save_for_backward({weight});
    context->saved_data["bias"] = bias.has_value();
    return ops::linear(x, weight, bias);
  }

  static autograd::variable_list backward(autograd::AutogradContext* context, autograd::variable_list gradients) {
    constexpr size_t kX = 0, kBias = 2;  // among the arguments
    const Tensor& y = gradients[0];
    const Tensor weight = context->get_saved_variables()[0];
    const bool learns_bias = context->saved_data["bias"].toBool() && context->needs_input_grad(kBias);
    return {context->needs_input_grad(kX) ? transposed_linear(y, weight) : Tensor(), Tensor(),
            learns_bias ? y.sum(0) : Tensor()};
  }
};

}  // namespace

Tensor frozen_linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  return FrozenLinear::apply(x, weight, bias ? std::optional<Tensor>(bias->to(x.scalar_type())) : std::nullopt);
}

}  // namespace lithe::ops
