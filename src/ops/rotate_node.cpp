#include "ops/rotate_node.h"

#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/custom_function.h>

namespace lithe::ops {
namespace {

namespace autograd = torch::autograd;

Tensor copy_of(const Tensor& x) {
  return x.clone(at::MemoryFormat::Contiguous);
}

struct RotateNode : autograd::Function<RotateNode> {
  static Tensor forward(autograd::AutogradContext* context, const Tensor& x, const Tensor& cosine, const Tensor& sine) {
    context->save_for_backward({cosine, sine});
    return rotate(copy_of(x), {cosine, sine});
  }

  static autograd::variable_list backward(autograd::AutogradContext* context, autograd::variable_list gradients) {
    const autograd::variable_list saved = context->get_saved_variables();
    return {rotate(copy_of(gradients[0]), {saved[0], -saved[1]}), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor rotate_node(const Tensor& x, const RopeAngles& angles) {
  return RotateNode::apply(x, angles.cosine, angles.sine);
}

}  // namespace lithe::ops
