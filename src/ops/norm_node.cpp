#include "ops/norm_node.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "ops/norm.h"
#include "ops/own_loops.h"
#include "ops/row_loops.h"

namespace lithe::ops {
namespace {

namespace autograd = torch::autograd;

/// Columns of a gain's gradient that a thread adds up at a time. The sums do not depend on the number of threads.
constexpr int64_t kColumns = 512;

struct NormGradient {
  Tensor x, gain;  // no gain: it is not asked for
};

template <class T>
NormGradient gradient_of(const Tensor& x, const Tensor& gain, double eps, const Tensor& y, bool gain_learns) {
  const NormGradient gradient{at::empty_like(x), gain_learns ? at::zeros_like(gain) : Tensor()};
  const int64_t width = x.size(-1), count = x.numel() / width;
  const Tensor scale = at::empty({count}, x.options());
  const T *in = x.const_data_ptr<T>(), *gains = gain.const_data_ptr<T>(), *from = y.const_data_ptr<T>();
  T *x_to = gradient.x.mutable_data_ptr<T>(), *scales = scale.mutable_data_ptr<T>();
  at::parallel_for(0, count, grain_rows(width), [&](int64_t begin, int64_t end) {
    const int64_t first = begin * width;
    rms_norm_gradient<T>({in + first, gains, eps, end - begin, width}, from + first, {x_to + first, scales + begin});
  });
  if (!gain_learns) return gradient;
  T* const gain_to = gradient.gain.mutable_data_ptr<T>();
  at::parallel_for(0, (width + kColumns - 1) / kColumns, 1, [&](int64_t begin, int64_t end) {
    rms_norm_gain_gradient<T>({in, gains, eps, count, width}, from, scales, begin * kColumns,
                              std::min(end * kColumns, width), gain_to);
  });
  return gradient;
}

Tensor rows_of(const Tensor& x, const std::optional<Tensor>& index) {
  return (index ? x.index_select(0, *index) : x).contiguous();
}

struct NormNode : autograd::Function<NormNode> {
  static Tensor forward(autograd::AutogradContext* context, const Tensor& x, const std::optional<Tensor>& index,
                        const Tensor& gain, double eps) {
    context->save_for_backward({x, index.value_or(Tensor()), gain});
    context->saved_data["eps"] = eps;
    return rms_norm(rows_of(x, index), gain, eps);
  }

  static autograd::variable_list backward(autograd::AutogradContext* context, autograd::variable_list gradients) {
    const autograd::variable_list saved = context->get_saved_variables();
    const std::optional<Tensor> index = saved[1].defined() ? std::optional(saved[1]) : std::nullopt;
    const Tensor rows = rows_of(saved[0], index), gain = saved[2].contiguous(), y = gradients[0].contiguous();
    const double eps = context->saved_data["eps"].toDouble();
    const bool learns = context->needs_input_grad(index ? 2 : 1);  // counts tensors that are there
    NormGradient gradient = rows.scalar_type() == at::kDouble ? gradient_of<double>(rows, gain, eps, y, learns)
                                                              : gradient_of<float>(rows, gain, eps, y, learns);
    if (index && context->needs_input_grad(0)) gradient.x = at::zeros_like(saved[0]).index_add_(0, *index, gradient.x);
    return {gradient.x, Tensor(), gradient.gain, Tensor()};
  }
};

}  // namespace

Tensor rms_norm_node(const Tensor& x, const std::optional<Tensor>& index, const Tensor& gain, double eps) {
  return NormNode::apply(x, index, gain, eps);
}

}  // namespace lithe::ops
