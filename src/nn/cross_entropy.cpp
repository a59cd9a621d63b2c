#include "nn/cross_entropy.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace lithe::nn {
namespace {

namespace autograd = torch::autograd;

/// Logits formed at a time: 64 MB of float32.
constexpr int64_t kLogits = int64_t{16} << 20;

struct CrossEntropy : autograd::Function<CrossEntropy> {
  /// `learning` is the head's weight if it learns.
  static Tensor forward(autograd::AutogradContext* context, const Tensor& x, const std::optional<Tensor>& learning,
                        const Linear& head, const Tensor& targets) {
    Tensor loss = at::zeros({}, x.options());
    const Tensor x_gradient = at::empty_like(x);
    Tensor weight_gradient = learning ? at::zeros_like(*learning) : Tensor();
    const int64_t rows = x.size(0), step = std::max<int64_t>(1, kLogits / head.out());
    for (int64_t first = 0; first < rows; first += step) {
      const int64_t count = std::min(step, rows - first);
      const Tensor some = x.narrow(0, first, count), expected = targets.narrow(0, first, count).unsqueeze(1);
      Tensor logits = head.weight.product(some, std::nullopt);
      const Tensor whole = at::logsumexp(logits, {1}, true);
      loss += (whole - logits.gather(1, expected)).sum();
      Tensor slopes = logits.sub_(whole).exp_();  // of the loss along the logits
      slopes.scatter_add_(1, expected, at::zeros_like(whole).sub_(1));
      x_gradient.narrow(0, first, count).copy_(head.weight.transposed_product(slopes));
      if (weight_gradient.defined()) weight_gradient.addmm_(slopes.t(), some);
    }
    context->saved_data["x"] = x_gradient;
    if (weight_gradient.defined()) context->saved_data["weight"] = weight_gradient;
    return loss;
  }

  static autograd::variable_list backward(autograd::AutogradContext* context, autograd::variable_list gradients) {
    const auto scaled = [&](const char* name) {
      const auto found = context->saved_data.find(name);
      if (found == context->saved_data.end()) return Tensor();
      Tensor gradient = found->second.toTensor();
      context->saved_data.erase(found);  // so that the leaf may take the memory
      const auto factor = gradients[0].item<double>();
      return factor == 1 ? gradient : gradient.mul_(factor);
    };
    const Tensor x = scaled("x"), weight = scaled("weight");
    return {x, weight, Tensor(), Tensor()};
  }
};

}  // namespace

Tensor summed_cross_entropy(const Linear& head, const Tensor& x, const Tensor& targets, RowDraws draws) {
  const std::optional<Tensor> weight = head.weight.learning();
  const bool learns = at::GradMode::is_enabled() && (x.requires_grad() || weight);
  const bool one_type = !weight || weight->scalar_type() == x.scalar_type();
  if (learns && one_type && !head.bias && !head.low_rank) return CrossEntropy::apply(x, weight, head, targets);
  Tensor sum = at::zeros({}, x.options());
  const int64_t rows = x.size(0), step = learns ? rows : std::max<int64_t>(1, kLogits / head.out());
  for (int64_t first = 0; first < rows; first += step) {
    const int64_t count = std::min(step, rows - first);
    const RowDraws some = draws.empty() ? draws : draws.subspan(static_cast<size_t>(first), static_cast<size_t>(count));
    sum = sum + at::cross_entropy_loss(head(x.narrow(0, first, count), some), targets.narrow(0, first, count),
                                       std::nullopt, at::Reduction::Sum);
  }
  return sum;
}

}  // namespace lithe::nn
