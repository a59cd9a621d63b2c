#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>

#include <cmath>

#include "ops/weight_view.h"

namespace lithe::ops {

inline WeightView view_of(const at::Tensor& weight) {
  const WeightKind kind = weight.scalar_type() == at::kFloat      ? WeightKind::float32
                          : weight.scalar_type() == at::kBFloat16 ? WeightKind::bfloat16
                                                                  : WeightKind::float16;
  return {kind, weight.const_data_ptr(), weight.size(0), weight.size(1)};
}

/// Of standard normal factors: the largest deviation from the product in float64, in units of the size of a sum.
inline double deviation(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight) {
  const at::Tensor exact = at::linear(x.to(at::kDouble), weight.to(at::kDouble));
  return (y.to(at::kDouble) - exact).abs().max().item<double>() / std::sqrt(static_cast<double>(x.size(1)));
}

/// What float32 sums show, and what products of two terms of bfloat16 may add.
constexpr double kFloatDeviation = 8e-6, kTwoTermDeviation = 3e-5;

}  // namespace lithe::ops
