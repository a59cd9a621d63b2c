#include "tune/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace lithe::tune {
namespace {

std::vector<double> factors(const RateShape& shape) {
  std::vector<double> factors;
  for (int64_t step = 0; step < shape.steps; ++step) factors.push_back(rate_factor(shape, step));
  return factors;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-15) << "step " << i;
}

// `adamw_b.lrs` of the golden case pmod_train, divided by the base rate of 1e-3.
TEST(Schedule, CosineGivesTheRatesOfTheReference) {
  expect_near(factors({LrSchedule::cosine, 1, 5}), {0, 1, 0.8535533905932737, 0.5, 0.14644660940672627});
}

// get_scheduler("linear", .., 2, 6) of transformers.
TEST(Schedule, LinearRisesThenFalls) {
  expect_near(factors({LrSchedule::linear, 2, 6}), {0, 0.5, 1, 0.75, 0.5, 0.25});
  expect_near(factors({LrSchedule::linear, 0, 4}), {1, 0.75, 0.5, 0.25});
}

TEST(Schedule, ConstantIgnoresWarmUpUnlessItsNameSaysOtherwise) {
  expect_near(factors({LrSchedule::constant, 2, 4}), {1, 1, 1, 1});
  expect_near(factors({LrSchedule::constant_with_warmup, 2, 4}), {0, 0.5, 1, 1});
}

TEST(Schedule, StaysAtZeroAfterTheLastStep) {
  for (const LrSchedule kind : {LrSchedule::linear, LrSchedule::cosine}) {
    EXPECT_NEAR(rate_factor({kind, 1, 5}, 5), 0, 1e-15);
    EXPECT_GE(rate_factor({kind, 1, 5}, 6), 0);
  }
  EXPECT_EQ(rate_factor({LrSchedule::linear, 5, 5}, 5), 0) << "a run that is all warm-up";
}

TEST(Schedule, RoundsTheShareOfWarmUpUp) {
  EXPECT_EQ(warmup_steps_of(0, 0.03, 100), 3);
  EXPECT_EQ(warmup_steps_of(0, 0.03, 101), 4);
  EXPECT_EQ(warmup_steps_of(0, 0, 100), 0);
  EXPECT_EQ(warmup_steps_of(7, 0.03, 100), 7);
}

}  // namespace
}  // namespace lithe::tune
