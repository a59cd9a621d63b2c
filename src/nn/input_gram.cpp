#include "nn/input_gram.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

namespace lithe::nn {

void InputGram::add(const Tensor& x) {
  if (x.size(0) == 0) return;
  const Tensor rows = x.detach().to(at::kFloat);
  if (!sums_.defined()) sums_ = at::zeros({x.size(1), x.size(1)}, at::kFloat);
  sums_.addmm_(rows.t(), rows);
  rows_ += x.size(0);
}

}  // namespace lithe::nn
