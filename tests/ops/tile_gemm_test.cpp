#include "ops/tile_gemm.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/vector_set.h"
#include "product_support.h"

namespace lithe::ops {
namespace {

using at::Tensor;

/// With the processor's tiles, or emulated.
class TileGemm : public ::testing::Test {
  const at::NoGradGuard no_gradients_;
};

TEST_F(TileGemm, EqualsTheProductForEveryRemainder) {
  expect_equals_product(tile_gemm, {at::kFloat, at::kBFloat16, at::kHalf},
                        {{1, 1, 1},
                         {7, 13, 33},
                         {16, 16, 32},
                         {17, 31, 511},
                         {32, 256, 512},
                         {33, 257, 513},
                         {126, 301, 2300},
                         {64, 3, 17}},
                        kTwoTermDeviation);
}

/// Of two terms each, only the product of both second ones is left out.
TEST_F(TileGemm, IsExactWhereOneFactorIsOneTerm) {
  const auto expect_exact = [](double row, double weight) {
    const Tensor y = product(tile_gemm, at::full({20, 40}, row, at::kFloat), at::full({5, 40}, weight, at::kHalf));
    EXPECT_TRUE(y.equal(at::full({20, 5}, 40 * row * weight, at::kFloat))) << row << " x " << weight;
  };
  for (const double weight : {1.0, -3.0, 0.0, 6.103515625e-05, 5.9604644775390625e-08}) expect_exact(257, weight);
  for (const double weight : {1.0009765625, -65504.0}) expect_exact(256, weight);
}

TEST_F(TileGemm, WhatIsNoNumberStaysNone) {
  Tensor x = at::full({3, 32}, 1.0F, at::kFloat);
  float* values = x.mutable_data_ptr<float>();
  values[5] = std::numeric_limits<float>::quiet_NaN();
  values[32 + 7] = std::numeric_limits<float>::infinity();
  const Tensor y = product(tile_gemm, x, at::full({16, 32}, 2.0, at::kBFloat16));
  EXPECT_TRUE(std::isnan(y[0][3].item<float>()));
  EXPECT_EQ(y[1][3].item<float>(), std::numeric_limits<float>::infinity());
  EXPECT_EQ(y[2][3].item<float>(), 64);
}

/// The emulation equals the processor's tiles up to the order of sums.
TEST_F(TileGemm, IsEmulatedAsTheProcessorComputesIt) {
  if (!has_tile_gemm()) GTEST_SKIP() << "this processor has no tiles (AMX-BF16)";
  const Tensor x = at::randn({40, 700}, at::kFloat);
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    const Tensor weight = at::randn({50, 700}, at::kFloat).to(type);
    const Tensor here = product(tile_gemm, x, weight);
    use_vector_set(VectorSet::avx512_bf16);
    const Tensor emulated = product(tile_gemm, x, weight);
    use_vector_set(VectorSet::amx);
    EXPECT_LT((here - emulated).abs().max().item<double>() / std::sqrt(700.0), kFloatDeviation);
  }
}

}  // namespace
}  // namespace lithe::ops
