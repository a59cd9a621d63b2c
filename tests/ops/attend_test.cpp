#include "ops/attend.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "ops/tensor_support.h"

namespace lithe::ops {
namespace {

using test::Dice;
using test::expect_close;
using test::leaf;
using Positions = std::vector<int64_t>;

struct Heads {
  int64_t heads = 4, kv_heads = 4, width = 8;
};

Positions range(int64_t begin, int64_t end) {
  Positions positions(static_cast<size_t>(end - begin));
  std::iota(positions.begin(), positions.end(), begin);
  return positions;
}

/// The whole matrix under an explicit mask, head by head, in float64.
Tensor naive(const Tensor& queries, const Positions& at, const KeyValueSpan& span, const AttendOptions& options) {
  const int64_t rows = queries.size(0), heads = queries.size(1), group = heads / span.keys.size(1);
  const int64_t length = static_cast<int64_t>(span.positions.size());
  Tensor seen = at::zeros({rows, length}, at::kDouble);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t key = 0; key < length; ++key) {
      const int64_t p = span.positions[static_cast<size_t>(key)], q = at[static_cast<size_t>(row)];
      const bool sees = (!options.causal || p <= q) && (!options.window || p > q - *options.window);
      seen.mutable_data_ptr<double>()[row * length + key] = sees ? 1.0 : 0.0;
    }
  }
  std::vector<Tensor> out;
  for (int64_t head = 0; head < heads; ++head) {
    const Tensor q = queries.select(1, head).to(at::kDouble);
    const Tensor k = span.keys.select(1, head / group).to(at::kDouble),
                 v = span.values.select(1, head / group).to(at::kDouble);
    const Tensor weight = (q.matmul(k.t()) * options.scale).exp() * seen;
    out.push_back(weight.matmul(v) / weight.sum(1, true).clamp_min(1e-300));
  }
  return at::stack(out, 1);
}

KeyValueSpan random_span(Dice& dice, const Heads& heads, Positions positions, at::ScalarType type = at::kFloat) {
  const int64_t length = static_cast<int64_t>(positions.size());
  return {dice.normal({length, heads.kv_heads, heads.width}).to(type),
          dice.normal({length, heads.kv_heads, heads.width}).to(type), std::move(positions)};
}

void check_one(const Heads& heads, const Positions& at, const Positions& keys, const AttendOptions& options,
               const std::string& what) {
  Dice dice(11);
  const int64_t rows = static_cast<int64_t>(at.size());
  const KeyValueSpan span = random_span(dice, heads, keys);
  const Tensor queries = dice.normal({rows, heads.heads, heads.width}).to(at::kFloat);
  const std::vector<int64_t> offsets{0, rows};
  expect_close(attend_packed(queries, offsets, at, {span}, options), naive(queries, at, span, options), 1e-5, what);
}

const std::vector<Heads> kShapes{{4, 4, 8}, {4, 2, 8}, {6, 1, 10}, {1, 1, 2}};

TEST(AttendPacked, EqualsTheDefinition) {
  for (const Heads& heads : kShapes) {
    const std::string what = concat(heads.heads, "/", heads.kv_heads, " heads: ");
    check_one(heads, range(0, 9), range(0, 9), {.scale = 0.3}, what + "causal");
    check_one(heads, range(5, 9), range(0, 9), {.scale = 0.3}, what + "a chunk over a past");
    check_one(heads, {8}, range(0, 9), {.scale = 0.3}, what + "decode");
    check_one(heads, range(0, 9), range(0, 9), {.scale = 0.3, .causal = false}, what + "not causal");
    check_one(heads, range(0, 9), range(0, 9), {.scale = 0.3, .window = 3}, what + "window");
    check_one(heads, {20}, range(0, 21), {.scale = 0.3, .window = 4}, what + "decode in a window");
    check_one(heads, range(0, 9), range(0, 9), {.scale = 0.3, .causal = false, .window = 3},
              what + "window, not causal");
  }
}

TEST(AttendPacked, MasksByPositionNotByRow) {
  check_one({}, {0, 3, 4, 11, 12}, {0, 4, 5, 11, 20}, {.scale = 0.3}, "sparse queries and keys");
  check_one({}, {0, 3, 4, 11, 12}, {0, 3, 4, 11, 12}, {.scale = 0.3, .window = 5}, "sparse in a window");
  check_one({}, {2, 3}, {0, 3, 9}, {.scale = 0.3, .causal = false}, "sparse, not causal");
}

TEST(AttendPacked, BlindRowsGetZero) {
  check_one({}, {0, 1, 5, 6}, {3, 4, 5}, {.scale = 0.3}, "some blind");
  check_one({}, {0, 1}, {3, 4}, {.scale = 0.3}, "all blind");
  check_one({}, {0, 30}, {0, 1}, {.scale = 0.3, .window = 2}, "out of the window");
  Dice dice(3);
  const Tensor queries = dice.normal({2, 4, 8}).to(at::kFloat);
  const KeyValueSpan nothing = random_span(dice, {}, {});
  const std::vector<int64_t> offsets{0, 2};
  expect_close(attend_packed(queries, offsets, range(0, 2), {nothing}, {}), queries * 0, 0.0, "no keys at all");
}

TEST(AttendPacked, SplitsTallMasks) {
  check_one({2, 1, 4}, range(3, 603), range(0, 603), {.scale = 0.5}, "600 rows over a past");
}

TEST(AttendPacked, KeepsSequencesApart) {
  Dice dice(4);
  const Heads heads{4, 2, 8};
  const std::vector<Positions> at{range(0, 5), {}, {7}, range(0, 300), {2, 9}};
  const std::vector<Positions> keys{range(0, 5), range(0, 4), range(0, 8), range(0, 300), {}};
  std::vector<int64_t> offsets{0}, positions;
  std::vector<KeyValueSpan> spans;
  for (size_t i = 0; i < at.size(); ++i) {
    positions.insert(positions.end(), at[i].begin(), at[i].end());
    offsets.push_back(static_cast<int64_t>(positions.size()));
    spans.push_back(random_span(dice, heads, keys[i]));
  }
  const Tensor queries = dice.normal({offsets.back(), heads.heads, heads.width}).to(at::kFloat);
  const Tensor together = attend_packed(queries, offsets, positions, spans, {.scale = 0.3});
  for (size_t i = 0; i < at.size(); ++i) {
    const int64_t count = offsets[i + 1] - offsets[i];
    if (count == 0) continue;
    const Tensor own = queries.narrow(0, offsets[i], count);
    expect_close(together.narrow(0, offsets[i], count), naive(own, at[i], spans[i], {.scale = 0.3}), 1e-5,
                 concat("sequence ", i));
  }
}

TEST(AttendPacked, PassesGradients) {
  const std::vector<std::pair<Positions, Positions>> cases{
      {range(0, 6), range(0, 6)}, {range(2, 6), range(0, 6)}, {{0, 1, 5}, {1, 4, 5}}};
  for (const Heads& heads : kShapes) {
    for (const auto& [at, keys] : cases) {
      Dice dice(5);
      const int64_t rows = static_cast<int64_t>(at.size());
      const KeyValueSpan values = random_span(dice, heads, keys, at::kDouble);
      const Tensor start = dice.normal({rows, heads.heads, heads.width}),
                   cotangent = dice.normal({rows, heads.heads, heads.width});
      Tensor q1 = leaf(start), q2 = leaf(start);
      const KeyValueSpan span1{leaf(values.keys), leaf(values.values), keys},
          span2{leaf(values.keys), leaf(values.values), keys};
      const std::vector<int64_t> offsets{0, rows};
      (attend_packed(q1, offsets, at, {span1}, {.scale = 0.4}) * cotangent).sum().backward();
      (naive(q2, at, span2, {.scale = 0.4}) * cotangent).sum().backward();
      expect_close(q1.grad(), q2.grad(), 1e-12, "queries");
      expect_close(span1.keys.grad(), span2.keys.grad(), 1e-12, "keys");
      expect_close(span1.values.grad(), span2.values.grad(), 1e-12, "values");
    }
  }
}

TEST(AttendPacked, RefusesSpansThatDoNotFitTheSequences) {
  Dice dice(6);
  const std::vector<int64_t> offsets{0, 1, 2};
  EXPECT_THROW(attend_packed(dice.normal({2, 4, 8}), offsets, range(0, 2), {random_span(dice, {}, {0})}, {}), Error);
}

TEST(AttentionOfRow, IsTheMeanSoftmaxOverHeads) {
  Dice dice(7);
  for (const Heads& heads : kShapes) {
    const Tensor query = dice.normal({heads.heads, heads.width}).to(at::kFloat),
                 keys = dice.normal({11, heads.kv_heads, heads.width}).to(at::kFloat);
    Tensor expected = at::zeros({11}, at::kDouble);
    for (int64_t head = 0; head < heads.heads; ++head) {
      const Tensor k = keys.select(1, head / (heads.heads / heads.kv_heads)).to(at::kDouble);
      expected =
          expected + at::softmax(k.matmul(query[head].to(at::kDouble)) * 0.7, 0) / static_cast<double>(heads.heads);
    }
    const Tensor given = attention_of_row(query, keys, 0.7);
    EXPECT_EQ(given.scalar_type(), at::kFloat);
    expect_close(given, expected, 1e-6, "scores");
    EXPECT_NEAR(given.sum().item<double>(), 1.0, 1e-6);
  }
}

}  // namespace
}  // namespace lithe::ops
