#include "nn/weight.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <cmath>
#include <limits>
#include <memory>

#include "allocation_meter.h"
#include "base/error.h"
#include "nn/linear.h"
#include "ops/product.h"
#include "ops/tensor_support.h"

namespace lithe::nn {
namespace {

using test::Dice;
using test::expect_close;
using test::leaf;

constexpr at::ScalarType kStored[] = {at::kFloat, at::kBFloat16, at::kHalf};

/// What a weight stands for, in float64.
Tensor exact(const Weight& weight) {
  return weight.widened(at::kDouble);
}

TEST(Weight, IsAMatrixInEveryStorage) {
  Dice dice(1);
  const Tensor wide = dice.normal({9, 6}), x = dice.normal({5, 6}).to(at::kFloat),
               y = dice.normal({5, 9}).to(at::kFloat);
  const Tensor bias = dice.normal({9}).to(at::kFloat), ids = at::tensor({8, 0, 8}, at::kLong);
  for (const at::ScalarType type : kStored) {
    const Weight weight = wide.to(type);
    const std::string what = c10::toString(type);
    EXPECT_EQ(weight.type(), type);
    EXPECT_EQ(weight.out(), 9);
    EXPECT_EQ(weight.in(), 6);
    EXPECT_EQ(weight.bytes(), weight.count() * (type == at::kFloat ? 4 : 2));
    EXPECT_FALSE(weight.learning());
    expect_close(weight.product(x, bias), x.to(at::kDouble).matmul(exact(weight).t()) + bias, 1e-5, what);
    expect_close(weight.transposed_product(y), y.to(at::kDouble).matmul(exact(weight)), 1e-5, what + ", transposed");
    EXPECT_EQ(weight.rows(ids).scalar_type(), at::kFloat);
    expect_close(weight.rows(ids), exact(weight).index_select(0, ids), 0, what + ", rows");
  }
}

TEST(Weight, IsAMatrixAsCodesToo) {
  Dice dice(3);
  const int64_t rows = ops::kMostDotRowsOfCodes;  // more rows may be rounded to 16 bits
  const Tensor wide = dice.normal({9, 64}), x = dice.normal({rows, 64}).to(at::kFloat),
               y = dice.normal({4, 9}).to(at::kFloat), bias = dice.normal({9}).to(at::kFloat);
  const Tensor ids = at::tensor({8, 0, 8}, at::kLong);
  for (const ops::WeightKind kind : {ops::WeightKind::int8, ops::WeightKind::int4}) {
    const bool four = kind == ops::WeightKind::int4;
    const Weight weight(ops::quantised(wide, kind, 32));
    const std::string what = weight.storage();
    EXPECT_EQ(what, four ? "int4" : "int8");
    EXPECT_EQ(weight.out(), 9);
    EXPECT_EQ(weight.in(), 64);
    EXPECT_EQ(weight.count(), 9 * 64);
    EXPECT_EQ(weight.bytes(), 9 * 64 / (four ? 2 : 1) + 9 * 2 * 4);
    EXPECT_FALSE(weight.learning());
    expect_close(exact(weight), wide, four ? 0.3 : 0.02, what);
    expect_close(weight.product(x, bias), x.to(at::kDouble).matmul(exact(weight).t()) + bias, 1e-5, what);
    expect_close(weight.transposed_product(y), y.to(at::kDouble).matmul(exact(weight)), 1e-5, what + ", transposed");
    expect_close(weight.rows(ids), exact(weight).index_select(0, ids), 1e-6, what + ", rows");
    expect_close(exact(weight.first_rows(4)), exact(weight).narrow(0, 0, 4), 0, what + ", first rows");
    EXPECT_EQ(weight.extremes().second, exact(weight).max().item<double>());
  }
}

TEST(Weight, IsNotThereUntilItIsRead) {
  EXPECT_FALSE(Weight().defined());
  EXPECT_TRUE(Weight(at::zeros({1, 1})).defined());
}

TEST(Weight, TakesAConvolutionAsItsMatrix) {
  Dice dice(2);
  const Tensor kernel = dice.normal({4, 3, 2, 2});
  const Weight weight = kernel;
  EXPECT_EQ(weight.out(), 4);
  EXPECT_EQ(weight.in(), 12);
  EXPECT_EQ(weight.address(), kernel.const_data_ptr());
}

TEST(Weight, FirstRowsAreAViewThatLearnsIfTheWeightDoes) {
  Dice dice(3);
  const Tensor whole = dice.normal({7, 3});
  const Weight frozen = Weight(whole).first_rows(4), learning = Weight(leaf(whole)).first_rows(4);
  expect_close(exact(frozen), whole.narrow(0, 0, 4), 0, "rows");
  EXPECT_EQ(frozen.address(), whole.const_data_ptr());
  EXPECT_FALSE(frozen.learning());
  ASSERT_TRUE(learning.learning());
  EXPECT_TRUE(learning.learning()->is_leaf());
  learning.rows(at::tensor({3}, at::kLong)).sum().backward();
  EXPECT_EQ(learning.learning()->grad().sum().item<double>(), 3);
}

TEST(Weight, ExtremesShowWhatIsNotFinite) {
  Tensor numbers = Dice(4).normal({3, 4}).to(at::kBFloat16);
  const auto [least, most] = Weight(numbers).extremes();
  EXPECT_EQ(least, numbers.min().item<double>());
  EXPECT_EQ(most, numbers.max().item<double>());
  numbers[1][2].fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(std::isnan(Weight(numbers).extremes().first));
}

/// Against LibTorch's own gradients through the widened weight. The second shape is wider than a panel.
TEST(Weight, GradientsEqualThoseOfTheWidenedWeight) {
  Dice dice(5);
  const std::vector<std::pair<int64_t, int64_t>> shapes{{33, 20}, {1100, 2000}};
  for (const auto& [out, in] : shapes) {
    const Tensor wide = dice.normal({out, in}, 1.0 / std::sqrt(static_cast<double>(in)));
    const Tensor rows = dice.normal({6, in}), offset = dice.normal({out}), cotangent = dice.normal({6, out}, 0.1);
    for (const at::ScalarType type : kStored) {
      for (const bool learns_bias : {false, true}) {
        const Weight weight = wide.to(type);
        const std::string what = concat(out, " x ", in, " ", c10::toString(type), learns_bias ? " with bias" : "");
        const Tensor x = leaf(rows.to(at::kFloat)), expected_x = leaf(x.to(at::kDouble));
        const Tensor bias = leaf(offset.to(at::kFloat)), expected_bias = leaf(bias.to(at::kDouble));
        bias.set_requires_grad(learns_bias);
        const Tensor y = weight.product(x, bias), expected = expected_x.matmul(exact(weight).t()) + expected_bias;
        expect_close(y, expected, 2e-5, what);
        (y * cotangent).sum().backward();
        (expected * cotangent).sum().backward();
        expect_close(x.grad(), expected_x.grad(), 2e-5, what + ": x");
        if (learns_bias) expect_close(bias.grad(), expected_bias.grad(), 2e-5, what + ": bias");
        EXPECT_EQ(bias.grad().defined(), learns_bias) << what;
      }
    }
  }
}

TEST(Weight, ABiasLearnsBesideRowsThatDoNot) {
  Dice dice(6);
  const Weight weight = dice.normal({4, 3}).to(at::kHalf);
  const Tensor bias = leaf(dice.normal({4}).to(at::kFloat));
  weight.product(dice.normal({5, 3}).to(at::kFloat), bias).sum().backward();
  expect_close(bias.grad(), 5 + at::zeros({4}), 0, "bias");
}

TEST(Weight, ThatLearnsHasItsGradient) {
  Dice dice(7);
  const Weight weight = leaf(dice.normal({4, 3}).to(at::kFloat));
  const Tensor x = dice.normal({5, 3}).to(at::kFloat), cotangent = dice.normal({5, 4}).to(at::kFloat);
  ASSERT_TRUE(weight.learning());
  (weight.product(x, std::nullopt) * cotangent).sum().backward();
  expect_close(weight.learning()->grad(), cotangent.to(at::kDouble).t().matmul(x.to(at::kDouble)), 1e-5, "weight");
}

TEST(Weight, RefusesGradientsOfGradients) {
  Dice dice(8);
  const Weight weight = dice.normal({4, 3}).to(at::kBFloat16);
  EXPECT_THROW(weight.transposed_product(leaf(dice.normal({2, 4}).to(at::kFloat))), Error);
}

/// Without the node of its own, the backward pass would hold every weight a second time, widened: 4 x 16 MiB here.
TEST(Weight, TrainingKeepsNoWidenedCopy) {
  constexpr int64_t kRows = 24, kWidth = 2048, kLayers = 4;
  constexpr int64_t kPanelBytes = int64_t{8} << 20, kActivation = kRows * kWidth * 4;
  Dice dice(9);
  const Tensor numbers = dice.normal({kWidth, kWidth}, 1.0 / std::sqrt(static_cast<double>(kWidth)));
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    std::vector<Linear> layers;
    for (int64_t i = 0; i < kLayers; ++i) layers.push_back({numbers.to(type), std::nullopt});
    const Tensor x = leaf(dice.normal({kRows, kWidth}).to(at::kFloat));
    const auto meter = std::make_shared<test::AllocationMeter>();
    {
      const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
      Tensor y = x;
      for (const Linear& layer : layers) y = layer(y).tanh();
      y.sum().backward();
    }
    EXPECT_GT(x.grad().abs().max().item<double>(), 0);
    // Of each layer the product, its tanh and their gradients; a panel, and what the tiles pack of the rows.
    EXPECT_LT(meter->peak(), kPanelBytes + (4 * kLayers + 4) * kActivation) << c10::toString(type);
  }
}

TEST(Weight, IsWatchedUntilItIsNot) {
  test::Dice dice(31);
  const Tensor x = dice.normal({5, 6}).to(at::kFloat), more = dice.normal({3, 6}).to(at::kFloat);
  Weight weight(dice.normal({4, 6}).to(at::kFloat));
  const Tensor y = weight.product(x, std::nullopt);
  const auto gram = std::make_shared<InputGram>();
  weight.watch(gram);
  EXPECT_TRUE(at::equal(weight.product(x, std::nullopt), y));
  weight.product(more, std::nullopt);
  weight.product(more.narrow(0, 0, 0), std::nullopt);
  weight.watch(nullptr);
  weight.product(more, std::nullopt);
  EXPECT_EQ(gram->rows(), 8);
  test::expect_close(gram->sums(), x.t().matmul(x) + more.t().matmul(more), 1e-5, "x^T x");
  gram->take();
  EXPECT_EQ(gram->rows(), 0);
  EXPECT_FALSE(gram->sums().defined());
}

}  // namespace
}  // namespace lithe::nn
