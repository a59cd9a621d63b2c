#include "ops/attend_node.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>

#include <string>

#include "ops/finite_differences.h"
#include "ops/tensor_support.h"

namespace lithe::ops {
namespace {

using test::Dice;

/// Sequences of different lengths. Queries stand at the last positions of theirs; in the third one, the first query
/// stands before all keys, so it is blind.
struct Sequences {
  std::vector<int64_t> query_offsets{0}, key_offsets{0};
  std::vector<int64_t> query_positions, key_positions;

  explicit Sequences(int count) {
    for (int i = 0; i < count; ++i) {
      const int64_t keys = 2 + i % 3, queries = i % 4 == 3 ? keys : 2;
      for (int64_t row = 0; row < keys; ++row) key_positions.push_back(10 + row);
      for (int64_t row = 0; row < queries; ++row) query_positions.push_back(10 + keys - queries + row);
      if (i == 2) query_positions[query_positions.size() - static_cast<size_t>(queries)] = 3;
      query_offsets.push_back(static_cast<int64_t>(query_positions.size()));
      key_offsets.push_back(static_cast<int64_t>(key_positions.size()));
    }
  }

  Tensor attend(const std::vector<Tensor>& inputs, const AttendOptions& options) const {
    std::vector<KeyValueView> views;
    for (size_t i = 0; i + 1 < key_offsets.size(); ++i) {
      const int64_t first = key_offsets[i], count = key_offsets[i + 1] - first;
      views.push_back({{}, FreshRows{inputs[1], inputs[2], key_positions}.some(first, count)});
    }
    const PackedQueries queries{inputs[0], query_offsets, query_positions};
    const bool asked = at::GradMode::is_enabled() && inputs[0].requires_grad();
    EXPECT_EQ(takes_attend_node(queries, views), asked);
    return attend_packed(queries, views, options);
  }
};

TEST(AttendNode, GradientsAreSlopes) {
  Dice dice(7);
  for (const int count : {2, 9}) {  // pieces one after another, and side by side
    for (const auto& [heads, kv_heads] : {std::pair(2, 2), std::pair(4, 2), std::pair(2, 1)}) {
      const Sequences sequences(count);
      const auto leaf = [&](int64_t rows, int64_t width) {
        return dice.normal({rows, width, 4}).set_requires_grad(true);
      };
      const std::vector<Tensor> inputs{leaf(sequences.query_offsets.back(), heads),
                                       leaf(sequences.key_offsets.back(), kv_heads),
                                       leaf(sequences.key_offsets.back(), kv_heads)};
      const Tensor weights = dice.normal({sequences.query_offsets.back(), heads, 4});
      for (const AttendOptions& options : {AttendOptions{.scale = 0.5}, AttendOptions{.causal = false},
                                           AttendOptions{.scale = 0.7, .causal = true, .window = 2}}) {
        for (Tensor input : inputs) input.mutable_grad().reset();
        test::expect_finite_differences(
            [&](const std::vector<Tensor>& given) { return (sequences.attend(given, options) * weights).sum(); },
            inputs, std::to_string(count) + " sequences, " + std::to_string(heads) + " heads");
      }
    }
  }
}

TEST(AttendNode, RepeatsBitForBit) {
  Dice dice(8);
  const Sequences sequences(40);
  const auto pass = [&](std::vector<Tensor> inputs) {
    for (Tensor& input : inputs) input = input.detach().set_requires_grad(true);
    (sequences.attend(inputs, {}) * 3).sum().backward();
    return inputs;
  };
  const std::vector<Tensor> inputs{dice.normal({sequences.query_offsets.back(), 4, 8}).to(at::kFloat),
                                   dice.normal({sequences.key_offsets.back(), 4, 8}).to(at::kFloat),
                                   dice.normal({sequences.key_offsets.back(), 4, 8}).to(at::kFloat)};
  const std::vector<Tensor> first = pass(inputs), second = pass(inputs);
  for (size_t i = 0; i < inputs.size(); ++i) EXPECT_TRUE(at::equal(first[i].grad(), second[i].grad())) << i;
}

}  // namespace
}  // namespace lithe::ops
