#include "eval/paired.h"

#include <gtest/gtest.h>

#include <vector>

namespace lithe::eval {
namespace {

std::vector<ScorePair> pairs(int64_t both, int64_t first, int64_t second, int64_t neither) {
  std::vector<ScorePair> all;
  const auto add = [&](int64_t count, double a, double b) {
    all.insert(all.end(), static_cast<std::size_t>(count), {a, b});
  };
  add(both, 1, 1);
  add(first, 1, 0);
  add(second, 0, 1);
  add(neither, 0, 0);
  return all;
}

TEST(Paired, CountsWhereTheRunsDiffer) {
  const Paired result = paired(pairs(50, 3, 12, 35), 0);
  EXPECT_EQ(result.questions, 100);
  EXPECT_DOUBLE_EQ(result.first, 53);
  EXPECT_DOUBLE_EQ(result.second, 62);
  EXPECT_NEAR(result.difference, 9, 1e-12);
  EXPECT_EQ(result.only_first, 3);
  EXPECT_EQ(result.only_second, 12);
  // 2 (C(15,0) + C(15,1) + C(15,2) + C(15,3)) / 2^15
  EXPECT_NEAR(result.p, 2.0 * (1 + 15 + 105 + 455) / 32768, 1e-9);
  // The standard error of the difference is sqrt((0.15 - 0.09^2) / 100) = 3.77 points.
  EXPECT_NEAR(result.low, 9 - 1.96 * 3.77, 1.5);
  EXPECT_NEAR(result.high, 9 + 1.96 * 3.77, 1.5);
}

TEST(Paired, EqualRunsDoNotDiffer) {
  const Paired result = paired(pairs(4, 0, 0, 3), 0);
  EXPECT_EQ(result.difference, 0);
  EXPECT_EQ(result.low, 0);
  EXPECT_EQ(result.high, 0);
  EXPECT_EQ(result.p, 1);
  EXPECT_EQ(paired(pairs(0, 5, 5, 0), 0).p, 1);
}

TEST(Paired, TheSameSeedDrawsTheSame) {
  const auto all = pairs(5, 3, 4, 5);
  EXPECT_EQ(paired(all, 7).low, paired(all, 7).low);
  EXPECT_EQ(paired(all, 7).high, paired(all, 7).high);
}

// The nll of a token: less is better, and a question counts by its tokens.
TEST(Paired, QuestionsMayHaveWeights) {
  const std::vector<ScorePair> pairs{{2.0, 1.0, 1}, {1.0, 1.5, 3}, {1.0, 1.25, 4}};
  const Paired result = paired(pairs, 0, {.scale = 1, .fewer_is_better = true});
  EXPECT_DOUBLE_EQ(result.first, (2.0 + 3.0 + 4.0) / 8);
  EXPECT_DOUBLE_EQ(result.second, (1.0 + 4.5 + 5.0) / 8);
  EXPECT_DOUBLE_EQ(result.difference, 1.5 / 8);
  EXPECT_EQ(result.only_first, 2);
  EXPECT_EQ(result.only_second, 1);
  EXPECT_GE(result.low, -1.0);
  EXPECT_LE(result.high, 0.5);
}

TEST(Paired, ManyQuestionsStayFinite) {
  const Paired result = paired(pairs(0, 3000, 3200, 0), 0);
  EXPECT_GT(result.p, 0.005);
  EXPECT_LT(result.p, 0.02);  // the normal distribution gives 0.011
}

}  // namespace
}  // namespace lithe::eval
