#include "nn/weight.h"

#include <ATen/ops/aminmax.h>
#include <ATen/ops/index_select.h>

#include "ops/bfloat16_linear.h"
#include "ops/matmul.h"

namespace lithe::nn {
namespace {

/// Detached, so that the matrix of a trainable convolution is a leaf of autograd, which an optimiser can change.
Tensor as_matrix(const Tensor& stored) {
  if (!stored.defined() || stored.dim() <= 2) return stored;
  return stored.detach().flatten(1).set_requires_grad(stored.requires_grad());
}

}  // namespace

Weight::Weight(const Tensor& stored) : stored_(as_matrix(stored)) {}

Tensor Weight::product(const Tensor& x, const std::optional<Tensor>& bias) const {
  if (watched_) watched_->add(x);
  if (has_codes()) return ops::low_bit_linear(x, codes_, bias, compute_);
  return compute_ == ops::Compute::bfloat16 ? ops::bfloat16_linear(x, stored_, bias) : ops::linear(x, stored_, bias);
}

at::ScalarType Weight::input_type(const Tensor& x) const {
  const at::ScalarType type = stored_.scalar_type();
  const bool half = type == at::kBFloat16 || (type == at::kHalf && !rounds_within_);
  return half && !x.device().is_cpu() && x.scalar_type() == at::kFloat ? type : x.scalar_type();
}

Tensor Weight::transposed_product(const Tensor& y) const {
  return has_codes() ? ops::low_bit_transposed(y, codes_) : ops::transposed_linear(y, stored_);
}

Tensor Weight::rows(const Tensor& ids) const {
  if (has_codes()) return ops::low_bit_rows(codes_, ids.to(device()));
  return stored_.index_select(0, ids.to(stored_.device())).to(at::kFloat);
}

Weight Weight::first_rows(int64_t count) const {
  if (has_codes()) return Weight(codes_.rows(0, count));
  // Detached, so that the rows of a trainable weight are a leaf of autograd, which an optimiser can change.
  return stored_.detach().narrow(0, 0, count).set_requires_grad(stored_.requires_grad());
}

Tensor Weight::widened(at::ScalarType type) const {
  return (has_codes() ? ops::widened(codes_) : stored_).to(type);
}

const char* Weight::storage() const {
  if (has_codes()) return codes_.kind == ops::WeightKind::int8 ? "int8" : "int4";
  switch (stored_.scalar_type()) {
    case at::kFloat:
      return "float32";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    default:
      return c10::toString(stored_.scalar_type());
  }
}

std::pair<double, double> Weight::extremes() const {
  const auto [least, most] = at::aminmax(has_codes() ? ops::widened(codes_) : stored_);
  return {least.item<double>(), most.item<double>()};
}

std::optional<Tensor> Weight::learning() const {
  return stored_.requires_grad() ? std::optional(stored_) : std::nullopt;
}

}  // namespace lithe::nn
