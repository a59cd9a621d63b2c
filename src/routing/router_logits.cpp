#include "routing/router_logits.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/learns.h"

namespace lithe::routing {
namespace {

namespace autograd = torch::autograd;

struct RouterNode : autograd::Function<RouterNode> {
  /// `weight` is the router's, in the type of its rows.
  static Tensor forward(autograd::AutogradContext* context, const Tensor& hidden, const Tensor& index,
                        const Tensor& weight, const std::optional<Tensor>& bias, const nn::Router& router) {
    context->save_for_backward({hidden, index, weight});
    context->saved_data["bias"] = bias.has_value();
    return router(hidden.index_select(0, index));
  }

  static autograd::variable_list backward(autograd::AutogradContext* context, autograd::variable_list gradients) {
    const autograd::variable_list saved = context->get_saved_variables();
    const Tensor &hidden = saved[0], &index = saved[1], &weight = saved[2], &z = gradients[0];
    const Tensor rows = hidden.index_select(0, index);
    Tensor to_hidden;
    if (context->needs_input_grad(0))
      to_hidden = at::zeros_like(hidden).index_add_(0, index, z.unsqueeze(1) * weight.to(hidden.scalar_type()));
    return {to_hidden, Tensor(), at::mm(z.unsqueeze(0), rows),
            context->saved_data["bias"].toBool() ? z.sum().unsqueeze(0) : Tensor(), Tensor()};
  }
};

}  // namespace

Tensor router_logits(const nn::Router& router, const Tensor& hidden, const Tensor& index) {
  const bool wide = hidden.scalar_type() == at::kFloat || hidden.scalar_type() == at::kDouble;
  const Tensor weight = router.weight.widened(router.weight.type());
  const bool learning = ops::learns(hidden) || ops::learns(weight) || (router.bias && ops::learns(*router.bias));
  if (!wide || !learning) return router(hidden.index_select(0, index));
  return RouterNode::apply(hidden, index, weight, router.bias, router);
}

}  // namespace lithe::routing
