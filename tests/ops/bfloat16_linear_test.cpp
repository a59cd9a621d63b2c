#include "ops/bfloat16_linear.h"

#include <ATen/ops/linear.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include "allocation_meter.h"
#include "base/error.h"
#include "ops/tensor_support.h"

namespace lithe::ops {
namespace {

using test::Dice;
using test::expect_close;
using test::leaf;

/// A number of bfloat16 has 8 bits: it and a product of two are known to about this share, and sums of random terms
/// to about this share of the root of their sum of squares.
constexpr double kRounding = 0x1p-7;

Tensor rounded(const Tensor& x) {
  return x.to(at::kBFloat16).to(at::kFloat);
}

TEST(Bfloat16Linear, EqualsAProductOfRoundedNumbers) {
  Dice dice(1);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const Tensor x = leaf(dice.normal({20, 96}).to(at::kFloat)), weight = dice.normal({40, 96}).to(type),
                 bias = dice.normal({40}).to(at::kFloat);
    const Tensor y = bfloat16_linear(x, weight, bias);
    EXPECT_EQ(y.scalar_type(), at::kFloat);
    const Tensor exact = at::linear(rounded(x), rounded(weight), bias);
    // Only the result is rounded, once, before the bias.
    expect_close(y, exact, kRounding * (exact - bias).abs().max().item<double>(), "result");
  }
}

TEST(Bfloat16Linear, GradientsAreThoseOfTheProductUpToRounding) {
  Dice dice(2);
  const Tensor x = dice.normal({32, 64}).to(at::kFloat), weight = dice.normal({48, 64}).to(at::kFloat),
               bias = dice.normal({48}).to(at::kFloat), cotangent = dice.normal({32, 48}).to(at::kFloat);
  std::vector<Tensor> ours{leaf(x), leaf(weight), leaf(bias)}, exact{leaf(x), leaf(weight), leaf(bias)};
  (bfloat16_linear(ours[0], ours[1], ours[2]) * cotangent).sum().backward();
  (at::linear(exact[0], exact[1], exact[2]) * cotangent).sum().backward();
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(ours[i].grad().scalar_type(), at::kFloat);
    const double root = std::sqrt(64.0);  // of the terms of a sum
    expect_close(ours[i].grad(), exact[i].grad(), 4 * kRounding * root, concat("gradient ", i));
  }
}

/// Finite differences would show the steps of bfloat16, not the gradient. By definition it is the product of the
/// rounded slopes with the rounded other factor: computed in float64 here, so only its own rounding may differ.
TEST(Bfloat16Linear, GradientsAreThoseOfTheDefinitionInFloat64) {
  constexpr double kOneRounding = 0x1p-8;
  Dice dice(5);
  const Tensor x = leaf(dice.normal({32, 64}).to(at::kFloat)), weight = leaf(dice.normal({48, 64}).to(at::kFloat)),
               bias = leaf(dice.normal({48}).to(at::kFloat)), cotangent = dice.normal({32, 48}).to(at::kFloat);
  (bfloat16_linear(x, weight, bias) * cotangent).sum().backward();
  const auto exact = [](const Tensor& t) { return rounded(t.detach()).to(at::kDouble); };
  const Tensor slopes = exact(cotangent);
  const auto expect_one_rounding = [](const Tensor& actual, const Tensor& expected, const char* what) {
    const Tensor excess = (actual.to(at::kDouble) - expected).abs() - kOneRounding * expected.abs();
    EXPECT_LT(excess.max().item<double>(), 1e-4) << what;  // what sums of float32 may add
  };
  expect_one_rounding(x.grad(), slopes.matmul(exact(weight)), "rows");
  expect_one_rounding(weight.grad(), slopes.t().matmul(exact(x)), "weight");
  expect_close(bias.grad(), cotangent.to(at::kDouble).sum(0), 1e-5, "bias");
}

TEST(Bfloat16Linear, FewRowsAreMultipliedAsStored) {
  Dice dice(3);
  const Tensor x = dice.normal({2, 64}).to(at::kFloat), weight = dice.normal({16, 64}).to(at::kFloat);
  expect_close(bfloat16_linear(x, weight, std::nullopt), at::linear(x, weight), 1e-5, "two rows");
}

TEST(Bfloat16Linear, KeepsNoCopyOfAFrozenWeightAndNoRows) {
  Dice dice(4);
  const Tensor x = leaf(dice.normal({64, 256}).to(at::kFloat)), weight = dice.normal({256, 256}).to(at::kBFloat16);
  const auto meter = std::make_shared<test::AllocationMeter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
  const Tensor y = bfloat16_linear(x, weight, std::nullopt);
  EXPECT_LT(meter->now() - static_cast<int64_t>(y.nbytes()), 1024);
  EXPECT_LT(meter->peak(),
            3 * static_cast<int64_t>(y.nbytes()));  // the rows and the result in bfloat16, and the result
}

}  // namespace
}  // namespace lithe::ops
