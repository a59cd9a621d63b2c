#include "nn/layer_state.h"

#include <ATen/ops/cat.h>

#include "base/error.h"
#include "ops/tensor_support.h"

namespace lithe::nn {
namespace {

using test::Dice;
using test::expect_close;
using Positions = std::vector<int64_t>;

/// What a state should hold, kept the plain way.
struct Expected {
  std::vector<Tensor> keys, values;
  Positions positions;
};

void append(LayerState& state, Expected& expected, Dice& dice, const Positions& positions) {
  const int64_t rows = static_cast<int64_t>(positions.size());
  const Tensor keys = dice.normal({rows, 2, 3}).to(at::kFloat), values = dice.normal({rows, 2, 3}).to(at::kFloat);
  state.append(keys, values, positions);
  expected.keys.push_back(keys);
  expected.values.push_back(values);
  expected.positions.insert(expected.positions.end(), positions.begin(), positions.end());
}

void expect_holds(const LayerState& state, const Expected& expected) {
  ASSERT_EQ(state.positions(), expected.positions);
  EXPECT_EQ(state.length(), static_cast<int64_t>(expected.positions.size()));
  EXPECT_EQ(state.bytes(), 2 * state.length() * 2 * 3 * 4);
  const ops::KeyValueSpan span = state.span();
  EXPECT_EQ(span.positions, expected.positions);
  expect_close(span.keys, at::cat(expected.keys), 0.0, "keys");
  expect_close(span.values, at::cat(expected.values), 0.0, "values");
}

TEST(LayerState, StartsEmpty) {
  LayerState state;
  EXPECT_EQ(state.length(), 0);
  EXPECT_EQ(state.bytes(), 0);
  EXPECT_THROW(state.span(), Error);
  state.truncate(0);
  EXPECT_EQ(state.length(), 0);
}

TEST(LayerState, GrowsRowByRow) {
  Dice dice(1);
  LayerState state;
  Expected expected;
  append(state, expected, dice, {0, 2, 3, 9});
  for (int64_t position = 10; position < 60; ++position) {
    append(state, expected, dice, {position});
    expect_holds(state, expected);
  }
}

TEST(LayerState, ReservedRoomIsNotMovedAndMayBeExceeded) {
  Dice dice(2);
  LayerState state;
  state.reserve(8);
  Expected expected;
  append(state, expected, dice, {0, 1, 2});
  const void* where = state.span().keys.data_ptr();
  append(state, expected, dice, {3, 4, 5, 6, 7});
  EXPECT_EQ(state.span().keys.data_ptr(), where);
  append(state, expected, dice, {8});
  expect_holds(state, expected);
}

TEST(LayerState, AppendsNothing) {
  Dice dice(3);
  LayerState state;
  Expected expected;
  append(state, expected, dice, {});
  EXPECT_EQ(state.length(), 0);
  append(state, expected, dice, {4});
  append(state, expected, dice, {});
  expect_holds(state, expected);
}

TEST(LayerState, TruncatesToAPrefix) {
  Dice dice(4);
  LayerState state;
  Expected expected;
  append(state, expected, dice, {0, 1});
  Expected prefix = expected;
  append(state, expected, dice, {5, 6, 7});
  state.truncate(9);
  expect_holds(state, expected);
  state.truncate(2);
  expect_holds(state, prefix);
  append(state, prefix, dice, {2, 3});
  expect_holds(state, prefix);
}

TEST(LayerState, HoldsNoGradient) {
  Dice dice(5);
  LayerState state;
  const Tensor keys = test::leaf(dice.normal({2, 2, 3}));
  state.append(keys, keys, Positions{0, 1});
  EXPECT_FALSE(state.span().keys.requires_grad());
}

TEST(LayerState, RefusesPositionsThatDoNotFit) {
  Dice dice(6);
  LayerState state;
  const Tensor keys = dice.normal({2, 2, 3});
  EXPECT_THROW(state.append(keys, keys, Positions{0}), Error);
}

}  // namespace
}  // namespace lithe::nn
