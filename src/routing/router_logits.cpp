#include "routing/router_logits.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "ops/learns.h"

namespace lithe::routing {
namespace {

namespace autograd = torch::autograd;

/// The router's weight, as it is stored.
struct KeptWeight : torch::CustomClassHolder {
  explicit KeptWeight(nn::Weight weight) : weight(std::move(weight)) {}

  nn::Weight weight;
};

struct RouterNode : autograd::Function<RouterNode> {
  /// `learning` is the router's weight if it learns.
  static Tensor forward(autograd::AutogradContext* context, const Tensor& hidden, const Tensor& index,
                        const std::optional<Tensor>& learning, const std::optional<Tensor>& bias,
                        const nn::Router& router) {
    context->save_for_backward({hidden, index});
    context->saved_data["weight"] = at::IValue::make_capsule(c10::make_intrusive<KeptWeight>(router.weight));
    context->saved_data["learns_weight"] = learning.has_value();
    context->saved_data["learns_bias"] = bias && bias->requires_grad();
    return router(hidden.index_select(0, index));
  }

  static autograd::variable_list backward(autograd::AutogradContext* context, autograd::variable_list gradients) {
    const autograd::variable_list saved = context->get_saved_variables();
    const Tensor &hidden = saved[0], &index = saved[1], &z = gradients[0];
    const auto kept = c10::static_intrusive_pointer_cast<KeptWeight>(context->saved_data["weight"].toCapsule());
    Tensor to_hidden, to_weight, to_bias;
    if (context->needs_input_grad(0))
      to_hidden = at::zeros_like(hidden).index_add_(0, index, kept->weight.transposed_product(z.unsqueeze(1)));
    if (context->saved_data["learns_weight"].toBool())
      to_weight = at::mm(z.unsqueeze(0), hidden.index_select(0, index));
    if (context->saved_data["learns_bias"].toBool()) to_bias = z.sum().unsqueeze(0);
    return {to_hidden, Tensor(), to_weight, to_bias, Tensor()};
  }
};

}  // namespace

Tensor router_logits(const nn::Router& router, const Tensor& hidden, const Tensor& index) {
  const bool wide = hidden.scalar_type() == at::kFloat || hidden.scalar_type() == at::kDouble;
  const std::optional<Tensor> weight = router.weight.learning();
  const bool learning =
      ops::learns(hidden) || (weight && ops::learns(*weight)) || (router.bias && ops::learns(*router.bias));
  if (!wide || !learning) return router(hidden.index_select(0, index));
  return RouterNode::apply(hidden, index, weight, router.bias, router);
}

}  // namespace lithe::routing
