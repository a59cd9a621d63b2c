#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "ops/weight_tensor.h"

namespace lithe::ops {

/// What weights are stored as.
inline constexpr at::ScalarType kStored[] = {at::kFloat, at::kBFloat16, at::kHalf};

/// Of standard normal factors: the largest deviation from the product in float64, in units of the size of a sum.
inline double deviation(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight) {
  const at::Tensor exact = at::linear(x.to(at::kDouble), weight.to(at::kDouble));
  return (y.to(at::kDouble) - exact).abs().max().item<double>() / std::sqrt(static_cast<double>(x.size(1)));
}

/// What float32 sums show (2,048 terms that are added one after another: up to 1.3e-5), and what products of two terms
/// of bfloat16 may add.
constexpr double kFloatDeviation = 2e-5, kTwoTermDeviation = 4e-5;

/// row_gemm or tile_gemm.
using Gemm = void (*)(const float* x, int64_t rows, const WeightView& weight, float* y);

inline at::Tensor product(Gemm gemm, const at::Tensor& x, const at::Tensor& weight) {
  at::Tensor y = at::empty({x.size(0), weight.size(0)}, at::kFloat);
  gemm(x.const_data_ptr<float>(), x.size(0), view_of(weight), y.mutable_data_ptr<float>());
  return y;
}

/// For every type of weights and every {rows, outs, width}.
inline void expect_equals_product(Gemm gemm, const std::vector<at::ScalarType>& types,
                                  const std::vector<std::array<int64_t, 3>>& shapes, double allowed) {
  const at::NoGradGuard no_gradients;
  for (const at::ScalarType type : types) {
    for (const auto& [rows, outs, width] : shapes) {
      const at::Tensor x = at::randn({rows, width}, at::kFloat),
                       weight = at::randn({outs, width}, at::kFloat).to(type).contiguous();
      EXPECT_LT(deviation(product(gemm, x, weight), x, weight), allowed)
          << rows << " x " << width << " -> " << outs << " " << c10::toString(type);
    }
  }
}

}  // namespace lithe::ops
