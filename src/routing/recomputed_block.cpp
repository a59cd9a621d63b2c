#include "routing/recomputed_block.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "routing/resolve.h"

namespace lithe::routing {
namespace {

namespace autograd = torch::autograd;

/// What a block needs to run again.
struct Pass : torch::CustomClassHolder {
  Pass(const Block& block, RowSets sets, const LayerInput& input)
      : block(&block), sets(std::move(sets)), batch(input.batch), layer(input.layer) {
    this->sets.watched.clear();
  }

  const Block* block;
  RowSets sets;
  Batch batch;
  int64_t layer;
};

struct Recomputed : autograd::Function<Recomputed> {
  /// `anchor` asks for a gradient, so that the block runs again also if x does not ask for one but its weights do.
  static Tensor forward(autograd::AutogradContext* context, const Tensor& x, const Tensor& /*anchor*/,
                        const Block& block, const RowSets& sets, const LayerInput& input) {
    context->save_for_backward({x});
    context->saved_data["pass"] = at::IValue::make_capsule(c10::make_intrusive<Pass>(block, sets, input));
    return run_block(block, sets, x, input);
  }

  static autograd::variable_list backward(autograd::AutogradContext* context, autograd::variable_list gradients) {
    const auto pass = c10::static_intrusive_pointer_cast<Pass>(context->saved_data["pass"].toCapsule());
    const at::AutoGradMode with_gradients(true);
    const Tensor x = context->get_saved_variables()[0].detach().set_requires_grad(true);
    RowSets sets = pass->sets;
    weigh_again(*pass->block, x, sets);
    const Tensor y = run_block(*pass->block, sets, x, {pass->batch, pass->layer, std::nullopt});
    if (y.requires_grad()) y.backward(gradients[0]);
    return {x.grad(), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor run_recomputed(const Block& block, const RowSets& sets, const Tensor& x, const LayerInput& input) {
  if (!at::GradMode::is_enabled()) return run_block(block, sets, x, input);
  const Tensor anchor = at::zeros({}, x.options()).set_requires_grad(true);
  return Recomputed::apply(x, anchor, block, sets, input);
}

}  // namespace lithe::routing
