// Rounding to int4 for given rows, against the algorithm written down column by column in float64.
#include "ops/error_feedback.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_cholesky.h>
#include <ATen/ops/linalg_inv.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "ops/tensor_support.h"

namespace lithe::ops {
namespace {

/// Rows whose columns tell much about each other.
Tensor related_rows(test::Dice& dice, int64_t rows, int64_t width) {
  const Tensor few = dice.normal({rows, 6}), spread = dice.normal({6, width});
  return (few.matmul(spread) + 0.3 * dice.normal({rows, width})).to(at::kFloat);
}

LowBit quantised_for(const Tensor& weight, int64_t group, const Tensor& rows) {
  return quantised_with(weight, group, error_feedback(rows.t().matmul(rows)));
}

double error_over(const Tensor& rows, const Tensor& weight, const LowBit& codes) {
  return rows.matmul((widened(codes) - weight).t()).square().mean().item<double>();
}

TEST(ErrorFeedback, LosesLessOverItsRowsAndOthersLikeThem) {
  test::Dice dice(1);
  for (const int64_t group : {32, 64}) {
    const Tensor all = related_rows(dice, 400, 128), weight = dice.normal({40, 128}).to(at::kFloat);
    const Tensor rows = all.narrow(0, 0, 300), others = all.narrow(0, 300, 100);
    const LowBit plain = quantised(weight, WeightKind::int4, group), codes = quantised_for(weight, group, rows);
    EXPECT_EQ(codes.bytes(), plain.bytes());
    EXPECT_LT(error_over(rows, weight, codes), 0.5 * error_over(rows, weight, plain)) << group;
    EXPECT_LT(error_over(others, weight, codes), 0.5 * error_over(others, weight, plain)) << group;
  }
}

// The scales are those that were chosen; with them, every code is that of the definition.
TEST(ErrorFeedback, IsTheDefinition) {
  test::Dice dice(2);
  constexpr int64_t kWidth = 96, kGroup = 32;
  const Tensor rows = related_rows(dice, 200, kWidth), weight = dice.normal({12, kWidth}).to(at::kFloat);
  const Tensor gram = rows.t().matmul(rows);
  const LowBit codes = quantised_for(weight, kGroup, rows);
  const Tensor wide =
      gram.to(at::kDouble) / gram.diagonal().mean().item<double>() + 0.01 * at::eye(kWidth, at::kDouble);
  const Tensor upper = at::linalg_cholesky(at::linalg_inv(wide), true);
  Tensor left = weight.to(at::kDouble).clone();
  Tensor expected = at::zeros_like(left);
  for (int64_t i = 0; i < kWidth; ++i) {
    const Tensor scale = codes.scales.select(1, i / kGroup).to(at::kDouble);
    const Tensor code = (left.select(1, i) / scale).round().clamp(-8, 7);
    expected.select(1, i).copy_(code * scale);
    const Tensor error = (left.select(1, i) - code * scale) / upper[i][i];
    left -= error.unsqueeze(1) * upper[i].unsqueeze(0);
  }
  // A number halfway between two codes may go either way, and changes what comes after it in its row.
  const Tensor same = (widened(codes).to(at::kDouble) - expected).abs().amax(1) < 1e-5;
  EXPECT_GE(same.sum().item<int64_t>(), 11);
}

// Of the scales that are tried for a group, the one that is best if errors count 1 / U[i, i]^2 times.
TEST(ErrorFeedback, ChoosesScalesByWhatAnErrorCosts) {
  test::Dice dice(6);
  Tensor rows = related_rows(dice, 200, 32);
  rows.narrow(1, 0, 16) *= 30;
  const Tensor weight = dice.normal({30, 32}).to(at::kFloat), feedback = error_feedback(rows.t().matmul(rows));
  const Tensor counts = feedback.diagonal().square().reciprocal();
  const LowBit codes = quantised_with(weight, 32, feedback);
  const auto cost = [&](const Tensor& row, double scale) {
    const Tensor rest = row - (row / scale).round().clamp(-8, 7) * scale;
    return (counts * rest.square()).sum().item<double>();
  };
  int64_t others = 0;
  for (int64_t i = 0; i < weight.size(0); ++i) {
    const double chosen = cost(weight[i], codes.scales[i][0].item<double>());
    const double largest = weight[i].abs().max().item<double>();
    for (double steps = 6.5; steps <= 9; steps += 0.25)
      for (const double sign : {-1.0, 1.0}) EXPECT_GE(cost(weight[i], sign * largest / steps), chosen * (1 - 1e-5));
    const LowBit plain = quantised(weight.narrow(0, i, 1), WeightKind::int4, 32);
    others += cost(weight[i], plain.scales[0][0].item<double>()) > chosen * 1.01 ? 1 : 0;
  }
  EXPECT_GT(others, 10);
}

TEST(ErrorFeedback, RoundsAsAlwaysIfColumnsTellNothingOfEachOther) {
  test::Dice dice(3);
  const Tensor weight = dice.normal({9, 64}).to(at::kFloat);
  const LowBit plain = quantised(weight, WeightKind::int4, 32);
  for (const double size : {1.0, 1e-12, 1e12, 0.0}) {
    const LowBit codes = quantised_with(weight, 32, error_feedback(size * at::eye(64, at::kFloat)));
    EXPECT_TRUE(at::equal(codes.codes, plain.codes)) << size;
    EXPECT_TRUE(at::equal(codes.scales, plain.scales)) << size;
  }
}

TEST(ErrorFeedback, TakesColumnsThatAreAlwaysZeroAndFewRows) {
  test::Dice dice(4);
  Tensor rows = related_rows(dice, 7, 64);
  rows.narrow(1, 10, 20).zero_();
  const Tensor weight = dice.normal({5, 64}).to(at::kFloat);
  const LowBit codes = quantised_for(weight, 32, rows);
  EXPECT_TRUE(widened(codes).isfinite().all().item<bool>());
  EXPECT_LT(error_over(rows, weight, codes), error_over(rows, weight, quantised(weight, WeightKind::int4, 32)));
  EXPECT_LT((widened(codes) - weight).abs().max().item<double>(), 2);
}

TEST(ErrorFeedback, ShowsWhatIsNotFinite) {
  test::Dice dice(5);
  Tensor weight = dice.normal({3, 64}).to(at::kFloat);
  weight[1][40] = std::numeric_limits<float>::infinity();
  const Tensor wide = widened(quantised_for(weight, 32, related_rows(dice, 90, 64)));
  EXPECT_TRUE(wide[1].narrow(0, 32, 32).isnan().all().item<bool>());
  EXPECT_TRUE(wide[0].isfinite().all().item<bool>() && wide[2].isfinite().all().item<bool>());
}

TEST(ErrorFeedback, RefusesGroupsThatDoNotFit) {
  EXPECT_THROW(quantised_with(at::zeros({2, 48}), 32, at::eye(48)), Error);
  EXPECT_THROW(quantised_with(at::zeros({2, 64}), 32, at::eye(32)), Error);
}

}  // namespace
}  // namespace lithe::ops
