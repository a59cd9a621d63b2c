#include "ops/attend.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "ops/tensor_support.h"
#include "ops/vector_sets.h"

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

/// Keys and values of one sequence. Up to row `in_blocks` a view has them in blocks, the others as fresh rows.
struct Keys {
  Tensor keys, values;  // [rows, kv_heads, head_dim]
  Positions positions;
  int64_t in_blocks = 0;
  std::vector<Tensor> blocks = {};

  int64_t rows() const { return static_cast<int64_t>(positions.size()); }

  KeyValueView view() const {
    const auto held = static_cast<size_t>(in_blocks);
    return {{blocks, std::span(positions).first(held)},
            {keys.narrow(0, in_blocks, rows() - in_blocks), values.narrow(0, in_blocks, rows() - in_blocks),
             std::span(positions).subspan(held)}};
  }

  void put_in_blocks(int64_t count, KeyValueKind kind = KeyValueKind::float32) {
    in_blocks = count;
    blocks.clear();
    for (int64_t first = 0; first < count; first += kBlockRows) {
      const int64_t rows = std::min(kBlockRows, count - first);
      const Tensor block = empty_block(keys, kind);
      // Of int8, four bytes of -1 are a scale of NaN.
      blocks.push_back(kind == KeyValueKind::int8 ? block.fill_(-1)
                                                  : block.fill_(std::numeric_limits<double>::quiet_NaN()));
      store_rows(blocks.back(), 0, keys.narrow(0, first, rows), values.narrow(0, first, rows));
    }
  }
};

/// The whole matrix under an explicit mask, head by head, in float64.
Tensor plain(const Tensor& queries, const Positions& at, const Keys& all, const AttendOptions& options) {
  const int64_t rows = queries.size(0), heads = queries.size(1), group = heads / all.keys.size(1);
  const int64_t length = all.rows();
  Tensor seen = at::zeros({rows, length}, at::kDouble);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t key = 0; key < length; ++key) {
      const int64_t p = all.positions[static_cast<size_t>(key)], q = at[static_cast<size_t>(row)];
      const bool sees = (!options.causal || p <= q) && (!options.window || p > q - *options.window);
      seen.mutable_data_ptr<double>()[row * length + key] = sees ? 1.0 : 0.0;
    }
  }
  std::vector<Tensor> out;
  for (int64_t head = 0; head < heads; ++head) {
    const Tensor q = queries.select(1, head).to(at::kDouble);
    const Tensor k = all.keys.select(1, head / group).to(at::kDouble),
                 v = all.values.select(1, head / group).to(at::kDouble);
    const Tensor weight = (q.matmul(k.t()) * options.scale).exp() * seen;
    out.push_back(weight.matmul(v) / weight.sum(1, true).clamp_min(1e-300));
  }
  return at::stack(out, 1);
}

Keys random_keys(Dice& dice, const Heads& heads, Positions positions, at::ScalarType type = at::kFloat) {
  const int64_t length = static_cast<int64_t>(positions.size());
  return {dice.normal({length, heads.kv_heads, heads.width}).to(type),
          dice.normal({length, heads.kv_heads, heads.width}).to(type), std::move(positions)};
}

/// What bfloat16 holds exactly, so that only the arithmetic differs between kinds of blocks.
Keys rounded(Keys keys) {
  keys.keys = keys.keys.to(at::kBFloat16).to(keys.keys.scalar_type());
  keys.values = keys.values.to(at::kBFloat16).to(keys.values.scalar_type());
  return keys;
}

Tensor attend_one(const Tensor& queries, const Positions& at, const Keys& keys, const AttendOptions& options) {
  return attend_packed({queries, std::vector<int64_t>{0, queries.size(0)}, at}, {keys.view()}, options);
}

/// How far a result may be from `plain` with bfloat16 blocks: kernels may round the weights of the softmax to bfloat16.
/// That changes each by 2^-9 of it at most, and so does it their sum.
Tensor allowed_with_bfloat16(const Tensor& queries, const Positions& at, Keys keys, const AttendOptions& options) {
  keys.values = keys.values.abs();
  return plain(queries, at, keys, options) * 0x1p-8 + 1e-5;
}

void expect_within(const Tensor& actual, const Tensor& expected, const Tensor& allowed, const std::string& what) {
  const double most = ((actual.to(at::kDouble) - expected).abs() / allowed).max().item<double>();
  EXPECT_TRUE(most <= 1) << what << ": off by " << most << " times what is allowed";
}

/// With all keys fresh, all in blocks of either kind, and parted; by every vector set, and by LibTorch's operations.
void check_one(const Heads& heads, const Positions& at, const Positions& positions, const AttendOptions& options,
               const std::string& what) {
  Dice dice(11);
  Keys keys = rounded(random_keys(dice, heads, positions));
  const Tensor queries = dice.normal({static_cast<int64_t>(at.size()), heads.heads, heads.width}).to(at::kFloat);
  const Tensor expected = plain(queries, at, keys, options);
  const Tensor allowed = allowed_with_bfloat16(queries, at, keys, options);
  for (const int64_t in_blocks : {int64_t{0}, keys.rows() / 3, keys.rows()}) {
    keys.put_in_blocks(in_blocks);
    for_every_vector_set([&] {
      expect_close(attend_one(queries, at, keys, options), expected, 1e-5,
                   concat(what, ", ", in_blocks, " of ", keys.rows(), " keys in blocks"));
    });
    keys.put_in_blocks(in_blocks, KeyValueKind::bfloat16);
    for_every_vector_set([&] {
      expect_within(attend_one(queries, at, keys, options), expected, allowed,
                    concat(what, ", ", in_blocks, " of ", keys.rows(), " keys in bfloat16 blocks"));
    });
    keys.put_in_blocks(in_blocks);
    Keys exact = keys;
    exact.keys = keys.keys.to(at::kDouble);
    exact.values = keys.values.to(at::kDouble);
    expect_close(attend_one(queries.to(at::kDouble), at, exact, options), expected, 1e-12, what + ", float64");
  }
}

const std::vector<Heads> kHeads{{4, 4, 8}, {4, 2, 8}, {6, 1, 10}, {1, 1, 2}, {2, 2, 80}, {14, 2, 64}, {2, 1, 100}};

TEST(AttendPacked, EqualsTheDefinition) {
  for (const Heads& heads : kHeads) {
    const std::string what = concat(heads.heads, "/", heads.kv_heads, " heads of ", heads.width, ": ");
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

TEST(AttendPacked, EqualsTheDefinitionOverManyBlocks) {
  for (const Heads& heads : std::vector<Heads>{{2, 2, 16}, {6, 2, 20}}) {
    for (const int64_t length : {63, 64, 65, 128, 511, 512, 513, 1100}) {
      check_one(heads, {length - 1}, range(0, length), {.scale = 0.3}, concat("decode, ", length, " keys"));
      check_one(heads, range(length - 7, length), range(0, length), {.scale = 0.3}, concat("7 after ", length - 7));
    }
    check_one(heads, {999}, range(0, 1000), {.scale = 0.3, .window = 70}, "decode in a window");
    check_one(heads, range(900, 1000), range(0, 1000), {.scale = 0.3, .window = 150}, "tail in a window");
    check_one(heads, range(0, 200), range(0, 200), {.scale = 0.3}, "square");
    check_one(heads, range(0, 100), range(0, 130), {.scale = 0.3, .causal = false}, "not causal");
  }
}

TEST(AttendPacked, EqualsTheDefinitionForRandomRows) {
  Dice dice(12);
  for (int i = 0; i < 150; ++i) {
    const int64_t kv_heads = 1 + dice.below(3), group = 1 + dice.below(4);
    const Heads heads{kv_heads * group, kv_heads, 2 * (1 + dice.below(20))};
    const auto some = [&](int64_t bound, int64_t one_in) {
      Positions positions;
      for (int64_t p = 0; p < bound; ++p) {
        if (dice.below(one_in) == 0) positions.push_back(p);
      }
      if (positions.empty()) positions.push_back(bound);
      return positions;
    };
    const Positions keys = some(1 + dice.below(400), 1 + dice.below(3)),
                    at = some(1 + dice.below(450), 1 + dice.below(9));
    AttendOptions options{.scale = 0.4, .causal = dice.coin()};
    if (dice.coin()) options.window = 1 + dice.below(100);
    check_one(heads, at, keys, options, concat("case ", i));
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
  expect_close(attend_one(queries, range(0, 2), random_keys(dice, {}, {}), {}), queries * 0, 0.0, "no keys at all");
}

TEST(AttendPacked, SplitsTallMasks) {
  check_one({2, 1, 4}, range(3, 603), range(0, 603), {.scale = 0.5}, "600 rows over a past");
}

// Scores so far apart that most weights are 0, so that peaks move from block to block and between stretches.
TEST(AttendPacked, KeepsLargeScoresApart) {
  Dice dice(13);
  const Heads heads{2, 1, 8};
  Keys keys = random_keys(dice, heads, range(0, 1500));
  const Tensor queries = dice.normal({3, 2, 8}).to(at::kFloat);
  const Positions at = range(1497, 1500);
  const Tensor expected = plain(queries, at, keys, {.scale = 20});
  keys.put_in_blocks(1500);
  for_every_vector_set([&] {
    const Tensor actual = attend_one(queries, at, keys, {.scale = 20});
    expect_close(actual, expected, 1e-4, "scores in the hundreds");
  });
}

TEST(AttendPacked, ReadsBfloat16AsItIsStored) {
  Dice dice(14);
  for (const auto& [rows, length] : {std::pair{1, 1100}, {1, 7}, {5, 300}, {70, 300}, {200, 300}}) {
    for (const Heads& heads : kHeads) {
      Keys keys = random_keys(dice, heads, range(0, length));
      const Tensor queries = dice.normal({rows, heads.heads, heads.width}).to(at::kFloat);
      const Positions at = range(length - rows, length);
      const Tensor expected = plain(queries, at, rounded(keys), {.scale = 0.3});
      const bool few = rows * heads.heads / heads.kv_heads <= 6;  // such queries meet float32 arithmetic everywhere
      const Tensor allowed = allowed_with_bfloat16(queries, at, rounded(keys), {.scale = 0.3});
      keys.put_in_blocks(length, KeyValueKind::bfloat16);
      for_every_vector_set([&] {
        const bool exact = few || vector_set() < VectorSet::avx512_bf16;
        const Tensor actual = attend_one(queries, at, keys, {.scale = 0.3});
        expect_within(actual, expected, exact ? allowed * 0 + 1e-5 : allowed, concat(rows, " of ", length));
      });
    }
  }
}

/// The keys and values that codes of int8 stand for: read back from blocks.
Keys rounded_to_codes(const Keys& keys) {
  Keys held = keys;
  held.put_in_blocks(keys.rows(), KeyValueKind::int8);
  Keys rounded = keys;
  rounded.keys = all_keys(held.view(), keys.keys);
  rounded.values = all_values(held.view(), keys.values);
  return rounded;
}

TEST(AttendPacked, RoundsToCodesOfInt8) {
  Dice dice(18);
  for (const Heads& heads : kHeads) {
    const Keys keys = random_keys(dice, heads, range(0, 100)), rounded = rounded_to_codes(keys);
    for (const auto& [exact, coded] : {std::pair{keys.keys, rounded.keys}, {keys.values, rounded.values}}) {
      const Tensor largest = exact.abs().amax(2, true);
      EXPECT_TRUE(((exact - coded).abs() <= largest * (0.5001 / 127)).all().item<bool>());
      EXPECT_GT((exact - coded).abs().max().item<double>(), 0);
    }
  }
}

TEST(AttendPacked, ReadsInt8AsItIsStored) {
  Dice dice(19);
  for (const auto& [rows, length] : {std::pair{1, 1100}, {1, 7}, {5, 300}, {70, 300}, {200, 300}}) {
    for (const Heads& heads : kHeads) {
      Keys keys = random_keys(dice, heads, range(0, length));
      const Tensor queries = dice.normal({rows, heads.heads, heads.width}).to(at::kFloat);
      const Positions at = range(length - rows, length);
      const Tensor expected = plain(queries, at, rounded_to_codes(keys), {.scale = 0.3});
      keys.put_in_blocks(length, KeyValueKind::int8);
      for_every_vector_set([&] {
        expect_close(attend_one(queries, at, keys, {.scale = 0.3}), expected, 2e-5, concat(rows, " of ", length));
      });
    }
  }
}

// Were queries rounded to bfloat16, these scores would be off by some 0.1, and the weights by 10 %.
TEST(AttendPacked, KeepsScoresOverBfloat16Exact) {
  Dice dice(16);
  const Heads heads{2, 1, 64};
  Keys keys = rounded(random_keys(dice, heads, range(0, 300)));
  const Tensor queries = dice.normal({40, heads.heads, heads.width}).to(at::kFloat);
  const Positions at = range(260, 300);
  const AttendOptions options{.scale = 4};
  const Tensor expected = plain(queries, at, keys, options);
  const Tensor allowed = allowed_with_bfloat16(queries, at, keys, options);
  keys.put_in_blocks(300, KeyValueKind::bfloat16);
  for_every_vector_set(
      [&] { expect_within(attend_one(queries, at, keys, options), expected, allowed, "scores of 100"); });
}

// The rounded weights of a query still add up to 1.
TEST(AttendPacked, GivesEqualValuesBackFromBfloat16) {
  Dice dice(17);
  Keys keys = random_keys(dice, {}, range(0, 300));
  keys.values = keys.values * 0 + 1;
  const Tensor queries = dice.normal({40, 4, 8}).to(at::kFloat);
  keys.put_in_blocks(300, KeyValueKind::bfloat16);
  for_every_vector_set(
      [&] { expect_close(attend_one(queries, range(260, 300), keys, {}), queries * 0 + 1, 1e-5, "values of 1"); });
}

TEST(AttendPacked, NaNReachesWhatSeesIt) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Heads heads{2, 2, 20};
  for (const int64_t length : {3, 70, 700}) {
    for (const int64_t rows : {int64_t{1}, int64_t{2}, std::min<int64_t>(length, 60)}) {
      Dice dice(15);
      const Keys good = random_keys(dice, heads, range(0, length));
      const Tensor queries = dice.normal({rows, heads.heads, heads.width}).to(at::kFloat);
      const auto expect_nan = [&](const Tensor& asking, Keys keys, const char* what) {
        for (const KeyValueKind kind : {KeyValueKind::float32, KeyValueKind::bfloat16, KeyValueKind::int8}) {
          keys.put_in_blocks(length, kind);
          for_every_vector_set([&] {
            const Tensor out = attend_one(asking, range(length - rows, length), keys, {.scale = 0.3});
            EXPECT_TRUE(out[rows - 1].isnan().any().item<bool>()) << what << ", " << rows << " of " << length;
          });
        }
      };
      Tensor asking = queries.clone();
      asking[rows - 1][0][7].fill_(nan);
      expect_nan(asking, good, "query");
      Keys bad = good;
      bad.keys = good.keys.clone();
      bad.keys[length / 2][1][3].fill_(nan);
      expect_nan(queries, bad, "key");
      bad = good;
      bad.values = good.values.clone();
      bad.values[0][0][19].fill_(nan);
      expect_nan(queries, bad, "value");
    }
  }
}

/// Five sequences that differ in everything.
struct Company {
  explicit Company(const Heads& heads, KeyValueKind kind = KeyValueKind::float32) : heads(heads) {
    Dice dice(4);
    const std::vector<Positions> at{range(0, 5), {}, {1206}, range(0, 300), {2, 9}, {900}};
    const std::vector<Positions> stand{range(0, 5), range(0, 4), range(0, 1207), range(0, 300), {}, range(0, 901)};
    for (size_t i = 0; i < at.size(); ++i) {
      positions.insert(positions.end(), at[i].begin(), at[i].end());
      offsets.push_back(static_cast<int64_t>(positions.size()));
      keys.push_back(random_keys(dice, heads, stand[i]));
      if (i % 2 == 0 || kind == KeyValueKind::bfloat16) keys.back().put_in_blocks(keys.back().rows(), kind);
    }
    queries = dice.normal({offsets.back(), heads.heads, heads.width}).to(at::kFloat);
  }

  int64_t rows(size_t i) const { return offsets[i + 1] - offsets[i]; }
  Tensor of(const Tensor& all, size_t i) const { return all.narrow(0, offsets[i], rows(i)); }
  Positions at(size_t i) const { return {positions.begin() + offsets[i], positions.begin() + offsets[i + 1]}; }
  Tensor together() const {
    std::vector<KeyValueView> views;
    for (const Keys& own : keys) views.push_back(own.view());
    return attend_packed({queries, offsets, positions}, views, {.scale = 0.3});
  }

  Heads heads;
  std::vector<int64_t> offsets{0}, positions;
  std::vector<Keys> keys;
  Tensor queries;
};

TEST(AttendPacked, KeepsSequencesApart) {
  const Company company({4, 2, 8});
  const Tensor together = company.together();
  for (size_t i = 0; i < company.keys.size(); ++i) {
    const Tensor own = company.of(company.queries, i);
    expect_close(company.of(together, i), plain(own, company.at(i), company.keys[i], {.scale = 0.3}), 1e-5,
                 concat("sequence ", i));
  }
}

void expect_same_bits_in_any_company(const Company& company) {
  for_every_vector_set([&] {
    const Tensor together = company.together();
    for (size_t i = 0; i < company.keys.size(); ++i) {
      if (company.rows(i) == 0) continue;
      const Tensor alone = attend_one(company.of(company.queries, i), company.at(i), company.keys[i], {.scale = 0.3});
      EXPECT_TRUE(company.of(together, i).equal(alone)) << "sequence " << i;
    }
    const int threads = at::get_num_threads();
    at::set_num_threads(threads == 1 ? 3 : 1);
    EXPECT_TRUE(company.together().equal(together));
    at::set_num_threads(threads);
  });
}

TEST(AttendPacked, GivesTheSameBitsInAnyCompanyAndByAnyNumberOfThreads) {
  for (const KeyValueKind kind : {KeyValueKind::float32, KeyValueKind::bfloat16})
    expect_same_bits_in_any_company(Company({6, 2, 24}, kind));
}

TEST(AttendPacked, PassesGradients) {
  const std::vector<std::pair<Positions, Positions>> cases{
      {range(0, 6), range(0, 6)}, {range(2, 6), range(0, 6)}, {{0, 1, 5}, {1, 4, 5}}};
  for (const Heads& heads : kHeads) {
    for (const auto& [at, keys] : cases) {
      Dice dice(5);
      const int64_t rows = static_cast<int64_t>(at.size());
      const Keys values = random_keys(dice, heads, keys, at::kDouble);
      const Tensor start = dice.normal({rows, heads.heads, heads.width}),
                   cotangent = dice.normal({rows, heads.heads, heads.width});
      Tensor q1 = leaf(start), q2 = leaf(start);
      const Keys keys1{leaf(values.keys), leaf(values.values), keys},
          keys2{leaf(values.keys), leaf(values.values), keys};
      (attend_one(q1, at, keys1, {.scale = 0.4}) * cotangent).sum().backward();
      (plain(q2, at, keys2, {.scale = 0.4}) * cotangent).sum().backward();
      expect_close(q1.grad(), q2.grad(), 1e-12, "queries");
      expect_close(keys1.keys.grad(), keys2.keys.grad(), 1e-12, "keys");
      expect_close(keys1.values.grad(), keys2.values.grad(), 1e-12, "values");
    }
  }
}

TEST(AttendPacked, RefusesViewsThatDoNotFitTheSequences) {
  Dice dice(6);
  const std::vector<int64_t> offsets{0, 1, 2};
  const Keys one = random_keys(dice, {}, {0});
  EXPECT_THROW(attend_packed({dice.normal({2, 4, 8}), offsets, range(0, 2)}, {one.view()}, {}), Error);
}

TEST(AttentionOfRow, IsTheMeanSoftmaxOverHeads) {
  Dice dice(7);
  for (const Heads& heads : kHeads) {
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
