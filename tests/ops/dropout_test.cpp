#include "ops/dropout.h"

#include <ATen/ops/mean.h>
#include <ATen/ops/ones.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include "allocation_meter.h"
#include "base/mixed.h"
#include "ops/finite_differences.h"

namespace lithe::ops {
namespace {

using test::Dice;
using test::expect_close;
using test::expect_finite_differences;
using test::leaf;

std::vector<uint64_t> draws_for(int64_t rows, uint64_t seed) {
  std::vector<uint64_t> draws;
  for (int64_t row = 0; row < rows; ++row) draws.push_back(mixed(seed, static_cast<uint64_t>(row)));
  return draws;
}

/// What is left of ones: 0 or 1 / (1 - share).
Tensor mask(int64_t rows, int64_t width, const Dropout& dropout, uint64_t seed) {
  return dropout(at::ones({rows, width}), draws_for(rows, seed));
}

TEST(Dropout, LeavesOutItsShareAndKeepsTheMean) {
  for (const double share : {0.1, 0.5, 0.9}) {
    const Tensor kept = mask(400, 501, {share, 3}, 7);
    const double n = 400 * 501, mean = kept.mean().item<double>(), zeros = (kept == 0).sum().item<double>();
    EXPECT_NEAR(zeros / n, share, 5 * std::sqrt(share * (1 - share) / n)) << share;
    EXPECT_NEAR(mean, 1, 5 * std::sqrt(share / (1 - share) / n)) << share;
    EXPECT_NEAR(kept.max().item<double>(), 1 / (1 - share), 1e-6 / (1 - share)) << share;
    // No row and no column is left out as a whole, or never.
    for (const int64_t axis : {0, 1}) {
      const Tensor shares = (kept == 0).to(at::kDouble).mean(axis);
      EXPECT_GT(shares.min().item<double>(), share / 2) << share;
      EXPECT_LT(shares.max().item<double>(), (1 + share) / 2) << share;
    }
  }
}

TEST(Dropout, DependsOnTheRowsDrawAndThePlaceAlone) {
  const Dropout dropout{0.5, 1};
  const Tensor all = mask(6, 40, dropout, 9);
  const std::vector<uint64_t> draws = draws_for(6, 9), some{draws[4], draws[1]};
  const Tensor rows = dropout(at::ones({2, 40}), some);
  EXPECT_TRUE(rows[0].equal(all[4]) && rows[1].equal(all[1]));
  EXPECT_FALSE(all[0].equal(all[1]));
  EXPECT_FALSE(all.equal(mask(6, 40, {0.5, 2}, 9)));
  EXPECT_FALSE(all.equal(mask(6, 40, dropout, 10)));
}

TEST(Dropout, IsOffWithoutDrawsAndWithoutAShare) {
  const Tensor x = at::ones({2, 3});
  EXPECT_TRUE(Dropout({0.5, 1})(x, {}).is_same(x));
  EXPECT_TRUE(Dropout()(x, draws_for(2, 1)).is_same(x));
}

TEST(DroppedLinear, HasTheGradientOfFiniteDifferences) {
  Dice dice(1);
  const Tensor cotangent = dice.normal({4, 3});
  const Dropout dropout{0.4, 5};
  const std::vector<uint64_t> draws = draws_for(4, 2);
  expect_finite_differences(
      [&](const std::vector<Tensor>& in) { return (dropped_linear(in[0], in[1], dropout, draws) * cotangent).sum(); },
      {leaf(dice.normal({4, 7})), leaf(dice.normal({3, 7}))}, "product");
}

TEST(DroppedLinear, EqualsDropoutAndAProductAndKeepsItsInputs) {
  Dice dice(2);
  const Tensor x = leaf(dice.normal({64, 256}).to(at::kFloat)), weight = leaf(dice.normal({4, 256}).to(at::kFloat));
  const Dropout dropout{0.3, 8};
  const std::vector<uint64_t> draws = draws_for(64, 3);
  expect_close(dropped_linear(x, weight, dropout, draws), dropout(x, draws).matmul(weight.t()), 1e-4, "product");
  const auto meter = std::make_shared<test::AllocationMeter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
  const Tensor y = dropped_linear(x, weight, dropout, draws);
  EXPECT_LT(meter->now() - static_cast<int64_t>(y.nbytes()), 1024);
}

}  // namespace
}  // namespace lithe::ops
