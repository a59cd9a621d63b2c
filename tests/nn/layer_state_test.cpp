#include "nn/layer_state.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <memory>

#include "allocation_meter.h"
#include "base/error.h"
#include "ops/tensor_support.h"

namespace lithe::nn {
namespace {

using test::Dice;
using test::expect_close;
using Positions = std::vector<int64_t>;

/// What a state should hold, kept in the simplest way.
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

void expect_rows(const LayerState& state, const Expected& expected, const std::string& what) {
  ASSERT_EQ(state.positions(), expected.positions) << what;
  EXPECT_EQ(state.length(), static_cast<int64_t>(expected.positions.size())) << what;
  EXPECT_EQ(state.bytes(), 2 * state.length() * 2 * 3 * 4) << what;
  if (state.length() == 0) return;
  const ops::BlockedRows rows = state.rows(state.length());
  const Tensor like = expected.keys.front();
  expect_close(ops::all_keys({rows, {}}, like), at::cat(expected.keys), 0.0, what + " keys");
  expect_close(ops::all_values({rows, {}}, like), at::cat(expected.values), 0.0, what + " values");
}

void expect_holds(const LayerState& state, const Expected& expected, const std::string& what = {}) {
  ASSERT_EQ(std::ssize(state.rows(state.length()).blocks), ops::blocks_for(state.length())) << what;
  expect_rows(state, expected, what);
}

Positions range(int64_t begin, int64_t end) {
  Positions positions;
  for (int64_t p = begin; p < end; ++p) positions.push_back(p);
  return positions;
}

TEST(LayerState, StartsEmpty) {
  LayerState state;
  EXPECT_EQ(state.length(), 0);
  EXPECT_EQ(state.bytes(), 0);
  EXPECT_TRUE(state.rows(0).blocks.empty());
  state.truncate(0);
  EXPECT_EQ(state.length(), 0);
}

TEST(LayerState, GrowsRowByRow) {
  Dice dice(1);
  LayerState state;
  Expected expected;
  append(state, expected, dice, {0, 2, 3, 9});
  for (int64_t position = 10; position < 150; ++position) {
    append(state, expected, dice, {position});
    expect_holds(state, expected);
  }
}

TEST(LayerState, GrowsByStretchesThatCrossBlocks) {
  Dice dice(7);
  LayerState state;
  Expected expected;
  for (int64_t begin = 0; const int64_t rows : {1, 63, 64, 65, 200, 1}) {
    append(state, expected, dice, range(begin, begin + rows));
    expect_holds(state, expected, concat(rows, " rows from ", begin));
    begin += rows;
  }
}

TEST(LayerState, ReservedRoomNeedsNoFurtherMemoryAndMayBeExceeded) {
  Dice dice(2);
  const Tensor row = at::zeros({1, 2, 3}, at::kFloat);
  for (const bool reserved_first : {true, false}) {
    LayerState state;
    Expected expected;
    if (reserved_first) state.reserve(200);
    append(state, expected, dice, range(0, 3));
    if (!reserved_first) state.reserve(200);
    const auto meter = std::make_shared<test::AllocationMeter>();
    {
      const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
      for (int64_t p = 3; p < 200; ++p) state.append(row, row, range(p, p + 1));
      EXPECT_EQ(meter->peak(), 0);
      state.truncate(3);
      for (int64_t p = 3; p < 200; ++p) state.append(row, row, range(p, p + 1));
      EXPECT_EQ(meter->peak(), 0);
    }
    expected.keys.push_back(at::zeros({197, 2, 3}, at::kFloat));
    expected.values.push_back(expected.keys.back());
    for (const int64_t p : range(3, 200)) expected.positions.push_back(p);
    append(state, expected, dice, range(200, 300));
    expect_holds(state, expected);
  }
}

// Copies change independently of each other: from a full block, from a part of one, and after rows were dropped.
TEST(LayerState, CopiesShareBlocksUntilTheyDiffer) {
  Dice dice(9);
  for (const int64_t shared : {1, 63, 64, 65, 130}) {
    for (const int64_t kept : {shared, shared / 2}) {
      LayerState first;
      Expected prefix;
      append(first, prefix, dice, range(0, shared));
      LayerState second = first;
      EXPECT_EQ(first.rows(shared).blocks[0].data_ptr(), second.rows(shared).blocks[0].data_ptr());
      Expected cut{{prefix.keys[0].narrow(0, 0, kept)}, {prefix.values[0].narrow(0, 0, kept)}, range(0, kept)};
      second.truncate(kept);
      append(second, cut, dice, range(kept, kept + 70));
      expect_holds(first, prefix, "the first after the second grew");
      append(first, prefix, dice, range(shared, shared + 3));
      expect_holds(first, prefix, "the first");
      expect_holds(second, cut, "the second");
    }
  }
}

// As on a GPU: the only block grows, is shared by copies until they differ, and keeps its rows.
TEST(LayerState, HoldsAllRowsInOneBlock) {
  Dice dice(11);
  for (const int64_t reserved : {0, 100, 300}) {
    LayerState state(ops::KeyValueKind::float32, true);
    state.reserve(reserved);
    Expected expected;
    append(state, expected, dice, range(0, 70));
    const void* const first = state.rows(70).blocks[0].data_ptr();
    append(state, expected, dice, {70});
    EXPECT_EQ(state.rows(71).blocks[0].data_ptr(), first);
    LayerState copy = state;
    Expected of_copy = expected;
    append(copy, of_copy, dice, range(71, 250));
    expect_rows(state, expected, "after its copy grew");
    state.truncate(71);
    append(state, expected, dice, range(71, 400));
    EXPECT_EQ(state.rows(400).blocks.size(), 1u);
    expect_rows(state, expected, "grown");
    expect_rows(copy, of_copy, "the copy");
    copy.truncate(0);
    expect_rows(copy, {}, "empty");
  }
}

// A copy that grows, and a state that is fitted, take room for their own rows, not for those that another reserved.
TEST(LayerState, TakesOfOneBlockOnlyWhatItNeeds) {
  Dice dice(12);
  LayerState state(ops::KeyValueKind::float32, true);
  state.reserve(4000);
  Expected expected;
  append(state, expected, dice, range(0, 50));
  const auto capacity = [](const LayerState& some) { return ops::capacity_of(some.rows(some.length()).blocks[0]); };
  EXPECT_GE(capacity(state), 4000);
  EXPECT_EQ(state.fitted_bytes(), 2 * ops::kBlockRows * 2 * 3 * 4);
  LayerState grows = state, fitted = state;
  grows.reserve(0);
  Expected of_grown = expected;
  append(grows, of_grown, dice, range(50, 60));
  EXPECT_EQ(capacity(grows), ops::kBlockRows);
  fitted.fit();
  EXPECT_EQ(capacity(fitted), ops::kBlockRows);
  const void* const own = fitted.rows(50).blocks[0].data_ptr();
  fitted.fit();
  EXPECT_EQ(fitted.rows(50).blocks[0].data_ptr(), own);
  expect_rows(state, expected, "the first");
  expect_rows(grows, of_grown, "the copy that grew");
  expect_rows(fitted, expected, "the fitted copy");
}

TEST(LayerState, StoresBfloat16InHalfTheBytes) {
  Dice dice(10);
  LayerState state(ops::KeyValueKind::bfloat16);
  const Tensor keys = dice.normal({70, 2, 3}).to(at::kFloat), values = dice.normal({70, 2, 3}).to(at::kFloat);
  state.append(keys, values, range(0, 70));
  EXPECT_EQ(state.bytes(), 2 * 70 * 2 * 3 * 2);
  const ops::KeyValueView view{state.rows(70), {}};
  expect_close(ops::all_keys(view, keys), keys.to(at::kBFloat16).to(at::kFloat), 0.0, "keys");
  expect_close(ops::all_values(view, keys), values.to(at::kBFloat16).to(at::kFloat), 0.0, "values");
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
  expected = prefix;
  append(state, expected, dice, range(4, 300));
  expect_holds(state, expected);
  state.truncate(4);
  EXPECT_EQ(state.rows(4).blocks.size(), 1u);
  expect_holds(state, prefix);
}

TEST(LayerState, HoldsNoGradient) {
  Dice dice(5);
  LayerState state;
  const Tensor keys = test::leaf(dice.normal({2, 2, 3}));
  state.append(keys, keys, Positions{0, 1});
  EXPECT_FALSE(state.rows(2).blocks[0].requires_grad());
}

TEST(LayerState, RefusesPositionsThatDoNotFit) {
  Dice dice(6);
  LayerState state;
  const Tensor keys = dice.normal({2, 2, 3});
  EXPECT_THROW(state.append(keys, keys, Positions{0}), Error);
}

}  // namespace
}  // namespace lithe::nn
