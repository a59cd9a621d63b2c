#include "ops/learning_linear.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/matmul.h"
#include "ops/row_gemm.h"
#include "ops/weight_tensor.h"

namespace lithe::ops {
namespace {

namespace autograd = torch::autograd;

Tensor gradient_of_weight(const Tensor& y, const Tensor& x) {
  Tensor weight = at::empty({y.size(1), x.size(1)}, y.options());
  row_gemm_for_weight(y.const_data_ptr<float>(), x.const_data_ptr<float>(), x.size(0), y.size(1), x.size(1),
                      weight.mutable_data_ptr<float>());
  return weight;
}

struct LearningLinear : autograd::Function<LearningLinear> {
  static Tensor forward(autograd::AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias) {
    const Tensor rows = x.contiguous(), matrix = weight.contiguous();
    context->save_for_backward({weight.requires_grad() ? rows : Tensor(), x.requires_grad() ? matrix : Tensor()});
    context->saved_data["bias"] = bias.has_value();
    Tensor y = at::empty({x.size(0), weight.size(0)}, x.options());
    row_gemm(rows.const_data_ptr<float>(), x.size(0), view_of(matrix), y.mutable_data_ptr<float>());
    return bias ? y.add_(*bias) : y;
  }

  static autograd::variable_list backward(autograd::AutogradContext* context, autograd::variable_list gradients) {
    constexpr size_t kX = 0, kWeight = 1, kBias = 2;  // among the arguments
    const autograd::variable_list saved = context->get_saved_variables();
    const Tensor y = gradients[0].contiguous();
    const bool learns_bias = context->saved_data["bias"].toBool() && context->needs_input_grad(kBias);
    return {context->needs_input_grad(kX) ? stored_transposed(y, view_of(saved[1])) : Tensor(),
            context->needs_input_grad(kWeight) ? gradient_of_weight(y, saved[0]) : Tensor(),
            learns_bias ? y.sum(0) : Tensor()};
  }
};

}  // namespace

Tensor learning_linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  return LearningLinear::apply(x, weight, bias);
}

}  // namespace lithe::ops
