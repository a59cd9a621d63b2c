#include "tune/additive_model.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace lithe::tune {
namespace {

using plan::Combination;

double draw(std::mt19937_64& random, double low, double high) {
  return low + (high - low) * static_cast<double>(random() >> 11) / 9007199254740992.0;
}

/// Calls `visit` with every combination of moves.
template <class Visit>
void each(const MoveValues& values, const Visit& visit) {
  Combination one(values.size(), 0);
  for (;;) {
    visit(one);
    std::size_t layer = 0;
    while (layer < one.size() && ++one[layer] == values[layer].size()) one[layer++] = 0;
    if (layer == one.size()) return;
  }
}

struct Case {
  MoveValues losses, costs;
};

/// Four layers of up to four moves, whose costs are multiples of a 64th.
Case random_case(std::mt19937_64& random) {
  Case one;
  for (int layer = 0; layer < 4; ++layer) {
    std::vector<double> losses{0}, costs{0};
    for (uint64_t move = 0; move < 1 + random() % 4; ++move) {
      losses.push_back(draw(random, -0.1, 1));
      costs.push_back(-static_cast<double>(random() % 64) / 64);
    }
    one.losses.push_back(losses);
    one.costs.push_back(costs);
  }
  return one;
}

double counted(const MoveValues& losses, const Combination& one) {
  double sum = 0;
  for (std::size_t layer = 0; layer < one.size(); ++layer) sum += std::max(losses[layer][one[layer]], 0.0);
  return sum;
}

TEST(CheapestLoss, IsTheBestOfAllCombinations) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 200; ++round) {
    const Case one = random_case(random);
    const double most = draw(random, -3, 0.5);
    double lowest = std::numeric_limits<double>::infinity();
    each(one.losses, [&](const Combination& combination) {
      if (sum_of(one.costs, combination) <= most - 0.002) lowest = std::min(lowest, counted(one.losses, combination));
    });
    const auto found = cheapest_loss(one.losses, one.costs, most);
    if (!found) {
      EXPECT_EQ(lowest, std::numeric_limits<double>::infinity()) << round;
      continue;
    }
    EXPECT_LE(sum_of(one.costs, *found), most + 1e-9) << round;
    EXPECT_LE(counted(one.losses, *found), lowest + 1e-12) << round;
  }
}

TEST(CheapestLoss, MayBeTheBaseOrTheCheapestOfAll) {
  const MoveValues losses{{0, 1}, {0, 2}}, costs{{0, -1}, {0, -1}};
  EXPECT_EQ(cheapest_loss(losses, costs, 0), (Combination{0, 0}));
  EXPECT_EQ(cheapest_loss(losses, costs, -1), (Combination{1, 0}));
  EXPECT_EQ(cheapest_loss(losses, costs, -2), (Combination{1, 1}));
  EXPECT_FALSE(cheapest_loss(losses, costs, -2.001));
}

TEST(CheapestLoss, HoldsAForcedMove) {
  const MoveValues losses{{0, 1}, {0, 2}}, costs{{0, -1}, {0, -1}};
  EXPECT_EQ(cheapest_loss(losses, costs, -1, ForcedMove{0, 0}), (Combination{0, 1}));
  EXPECT_FALSE(cheapest_loss(losses, costs, -2, ForcedMove{0, 0}));
}

// Moves that lose nothing cost as little as they can.
TEST(CheapestLoss, TakesTheCheaperOfEquals) {
  EXPECT_EQ(cheapest_loss({{0, 0, -0.5}}, {{0, -1, -2}}, 0), (Combination{2}));
}

TEST(Fitted, KeepsWhatAddsUp) {
  const MoveValues alone{{0, 0.1, 0.3}, {0, 0.2}, {0, 0.4}};
  const MoveValues same = fitted(alone, {{{1, 1, 1}, 0.7}, {{2, 0, 1}, 0.7}});
  for (std::size_t layer = 0; layer < alone.size(); ++layer)
    for (std::size_t move = 0; move < alone[layer].size(); ++move)
      EXPECT_NEAR(same[layer][move], alone[layer][move], 1e-12);
}

// Layers 0 and 1 do each other's work: together they lose far more than one by one.
TEST(Fitted, LearnsFromCombinations) {
  const MoveValues alone{{0, 0.1}, {0, 0.1}, {0, 0.15}};
  const MoveValues values = fitted(alone, {{{1, 1, 0}, 1.0}, {{1, 0, 1}, 0.25}, {{0, 1, 1}, 0.25}});
  EXPECT_GT(sum_of(values, {1, 1, 0}), 0.5);
  EXPECT_EQ(values[0][0], 0);
  EXPECT_EQ(cheapest_loss(values, {{0, -1}, {0, -1}, {0, -1}}, -2)->at(2), 1u) << "not 0 and 1 together";
}

}  // namespace
}  // namespace lithe::tune
