#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

#include "ops/low_bit.h"
#include "ops/row_codes.h"
#include "random_codes.h"

namespace lithe::ops {

/// code_gemm or few_code_rows.
using CodeProduct = void (*)(const float* x, int64_t rows, const WeightView& weight, RowCodes codes, float* y);

inline Tensor product(CodeProduct run, const Tensor& x, const LowBit& weight, RowCodes codes) {
  Tensor y = at::empty({x.size(0), weight.outs()}, at::kFloat);
  run(x.const_data_ptr<float>(), x.size(0), weight.view(), codes, y.mutable_data_ptr<float>());
  return y;
}

/// Of rows of standard normal values: the largest deviation from the product in float64, in units of a sum's size. Of
/// weights that are all zero, which a single random code may be, that is the size of sums of weights of one step.
inline double deviation(const Tensor& y, const Tensor& x, const LowBit& weight) {
  const Tensor wide = widened(weight).to(at::kDouble), exact = x.to(at::kDouble).matmul(wide.t());
  const double weight_size = std::max(wide.pow(2).mean().sqrt().item<double>(), kCodeStep);
  return (y - exact).abs().max().item<double>() / (std::sqrt(static_cast<double>(x.size(1))) * weight_size);
}

/// A value of 16 bits is off by 1.5e-5 of its group's largest one at most, one of 8 bits by 4e-3. The largest one is
/// some three times a usual one, so is the largest of the random scales, and so is the largest deviation of many.
constexpr double kMost16 = 6e-4, kMost8 = 0.15;

}  // namespace lithe::ops
