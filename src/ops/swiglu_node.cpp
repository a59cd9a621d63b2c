#include "ops/swiglu_node.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/own_loops.h"
#include "ops/row_loops.h"

namespace lithe::ops {
namespace {

namespace autograd = torch::autograd;

template <class T>
const T* data_of(const Tensor& t) {
  return t.defined() ? t.const_data_ptr<T>() : nullptr;
}

/// The rows [begin, end). An undefined weight is 1.
template <class T>
SwigluRows<T> some_rows(const Tensor& gate, const Tensor& up, const Tensor& weight, int64_t begin, int64_t end) {
  const int64_t width = gate.size(-1);
  const T* weights = data_of<T>(weight);
  return {data_of<T>(gate) + begin * width, data_of<T>(up) + begin * width, weights ? weights + begin : nullptr,
          end - begin, width};
}

template <class T>
void run(const Tensor& gate, const Tensor& up, const Tensor& weight, const Tensor& y) {
  const int64_t width = gate.size(-1);
  T* const to = y.mutable_data_ptr<T>();
  at::parallel_for(0, gate.numel() / width, grain_rows(width), [&](int64_t begin, int64_t end) {
    swiglu_rows<T>(some_rows<T>(gate, up, weight, begin, end), to + begin * width);
  });
}

/// The gradients of gate, up and, if there is one, weight.
template <class T>
autograd::variable_list gradients_of(const Tensor& gate, const Tensor& up, const Tensor& weight, const Tensor& y) {
  const int64_t width = gate.size(-1);
  const Tensor gate_to = at::empty_like(gate), up_to = at::empty_like(up),
               weight_to = weight.defined() ? at::empty_like(weight) : Tensor();
  T *const gates = gate_to.mutable_data_ptr<T>(), *const ups = up_to.mutable_data_ptr<T>();
  T* const weights = weight.defined() ? weight_to.mutable_data_ptr<T>() : nullptr;
  const T* const from = y.const_data_ptr<T>();
  at::parallel_for(0, gate.numel() / width, grain_rows(width), [&](int64_t begin, int64_t end) {
    const int64_t first = begin * width;
    swiglu_gradient<T>(some_rows<T>(gate, up, weight, begin, end), from + first,
                       {gates + first, ups + first, weights ? weights + begin : nullptr});
  });
  return {gate_to, up_to, weight_to};
}

struct SwigluNode : autograd::Function<SwigluNode> {
  static Tensor forward(autograd::AutogradContext* context, const Tensor& gate, const Tensor& up,
                        const std::optional<Tensor>& weight, bool rounds) {
    const Tensor weights = weight ? weight->contiguous() : Tensor();
    const Tensor gates = gate.contiguous(), ups = up.contiguous();
    const auto kept = [&](const Tensor& x) { return rounds ? x.to(at::kBFloat16) : x; };
    context->save_for_backward({kept(gates), kept(ups), weights});
    const Tensor y = at::empty_like(gates);
    gates.scalar_type() == at::kDouble ? run<double>(gates, ups, weights, y) : run<float>(gates, ups, weights, y);
    return y;
  }

  static autograd::variable_list backward(autograd::AutogradContext* context, autograd::variable_list gradients) {
    const autograd::variable_list saved = context->get_saved_variables();
    const Tensor y = gradients[0].contiguous();
    const Tensor gate = saved[0].to(y.scalar_type()), up = saved[1].to(y.scalar_type());
    autograd::variable_list found = y.scalar_type() == at::kDouble ? gradients_of<double>(gate, up, saved[2], y)
                                                                   : gradients_of<float>(gate, up, saved[2], y);
    found.emplace_back();  // of `rounds`
    return found;
  }
};

}  // namespace

Tensor swiglu_node(const Tensor& gate, const Tensor& up, const std::optional<Tensor>& weight, bool rounds) {
  return SwigluNode::apply(gate, up, weight, rounds);
}

}  // namespace lithe::ops
