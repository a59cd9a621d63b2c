// Products of few rows with weights that are codes, beside code_gemm and the product in float64.
#include "ops/few_code_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "code_product_support.h"
#include "ops/code_gemm.h"
#include "ops/product.h"
#include "random_codes.h"
#include "vector_sets.h"

namespace lithe::ops {
namespace {

struct PanelShape {
  WeightKind kind;
  int64_t outs, width, group;
};

// One panel of 32 rows of weights, parts of it and more; groups that end inside a run of 64 bytes, that are shorter
// and longer than the cut, and rows that end inside a group, a run or a block.
constexpr PanelShape kPanelShapes[] = {
    {WeightKind::int8, 1, 1, 1},       {WeightKind::int8, 31, 33, 33},     {WeightKind::int8, 32, 64, 64},
    {WeightKind::int8, 33, 127, 127},  {WeightKind::int8, 70, 1025, 1025}, {WeightKind::int8, 40, 192, 32},
    {WeightKind::int8, 9, 1024, 512},  {WeightKind::int8, 65, 300, 96},    {WeightKind::int4, 1, 32, 32},
    {WeightKind::int4, 64, 1024, 64},  {WeightKind::int4, 45, 2304, 64},   {WeightKind::int4, 29, 1056, 32},
    {WeightKind::int4, 70, 1152, 128}, {WeightKind::int4, 14, 1152, 384},  {WeightKind::int4, 37, 480, 96},
    {WeightKind::int4, 32, 512, 256}};

template <class Test>
void for_every_panel_shape(const Test& test) {
  for (const PanelShape& shape : kPanelShapes) {
    for (const bool offsets : {false, true}) {
      SCOPED_TRACE(concat(bits_of(shape.kind), " bits, ", shape.width, " -> ", shape.outs, " in groups of ",
                          shape.group, offsets ? ", with offsets" : ""));
      test(random_codes(shape.kind, shape.outs, shape.width, shape.group, offsets));
    }
  }
}

TEST(FewCodeRows, EqualTheProductForEveryCountOfRows) {
  for_every_vector_set(has_few_code_rows, [] {
    for_every_panel_shape([](const LowBit& weight) {
      const Tensor all = at::randn({20, weight.width}, at::kFloat);
      for (int64_t rows = 1; rows <= 20; ++rows) {
        const Tensor x = all.narrow(0, 0, rows);
        EXPECT_LT(deviation(product(few_code_rows, x, weight, RowCodes::int16), x, weight), kMost16) << rows;
        EXPECT_LT(deviation(product(few_code_rows, x, weight, RowCodes::int8), x, weight), kMost8) << rows;
      }
    });
  });
}

/// Sums over a group are exact, and groups are added in the same order.
TEST(FewCodeRows, HaveTheBitsOfManyRows) {
  for_every_vector_set(has_few_code_rows, [] {
    if (!has_code_gemm()) return;
    for_every_panel_shape([](const LowBit& weight) {
      const Tensor x = at::randn({40, weight.width}, at::kFloat);
      for (const RowCodes codes : {RowCodes::int16, RowCodes::int8}) {
        const Tensor many = product(code_gemm, x, weight, codes);
        for (const int64_t rows : {1, 2, 3, 7, 13, 14, 15, 16, 29, 40}) {
          const Tensor few = product(few_code_rows, x.narrow(0, 0, rows), weight, codes);
          EXPECT_TRUE(few.equal(many.narrow(0, 0, rows))) << rows;
        }
      }
    });
  });
}

/// A row's result depends neither on the rows beside it nor on where the codes lie.
TEST(FewCodeRows, GiveEachRowTheSameBitsInEveryBatchAndAtEveryAddress) {
  for_every_vector_set(has_few_code_rows, [] {
    for (const WeightKind kind : {WeightKind::int8, WeightKind::int4}) {
      LowBit weight = random_codes(kind, 50, 288, 96, true);
      const Tensor x = at::randn({17, 288}, at::kFloat), codes = weight.codes;
      const Tensor together = product(few_code_rows, x, weight, RowCodes::int16);
      for (int64_t row = 0; row < 17; ++row) {
        const Tensor alone = product(few_code_rows, x.narrow(0, row, 1).contiguous(), weight, RowCodes::int16);
        EXPECT_TRUE(alone[0].equal(together[row])) << row;
      }
      const Tensor room = at::empty({codes.numel() + 64}, codes.options());
      for (const int64_t first : {1, 2, 13, 32, 63}) {
        weight.codes = room.narrow(0, first, codes.numel()).view(codes.sizes()).copy_(codes);
        EXPECT_TRUE(product(few_code_rows, x, weight, RowCodes::int16).equal(together)) << first;
      }
    }
  });
}

/// The largest codes of both factors: sums of a group do not overflow.
TEST(FewCodeRows, HoldTheLargestSums) {
  for_every_vector_set(has_few_code_rows, [] {
    for (const WeightKind kind : {WeightKind::int8, WeightKind::int4}) {
      LowBit weight = random_codes(kind, 3, 512, 256, false);
      weight.scales.abs_();  // groups of unlike signs cancel, and the bound is relative
      for (const int code : {kind == WeightKind::int8 ? -128 : 0, kind == WeightKind::int8 ? 127 : 255}) {
        weight.codes.fill_(code);
        for (const float value : {-3.0f, 3.0f}) {
          const Tensor x = at::empty({2, 512}, at::kFloat).fill_(value);
          const Tensor exact = x.to(at::kDouble).matmul(widened(weight).to(at::kDouble).t());
          for (const RowCodes codes : {RowCodes::int16, RowCodes::int8}) {
            const Tensor y = product(few_code_rows, x, weight, codes);
            EXPECT_LT(((y - exact) / exact).abs().max().item<double>(), 1e-5) << code << " x " << value;
          }
        }
      }
    }
  });
}

TEST(FewCodeRows, MakeARowNaNThatIsNotFinite) {
  for_every_vector_set(has_few_code_rows, [] {
    const LowBit weight = random_codes(WeightKind::int4, 30, 128, 64, true);
    for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      for (const int64_t column : {0, 70, 127}) {
        Tensor x = at::randn({5, 128}, at::kFloat);
        x[2][column] = bad;
        const Tensor finite = product(few_code_rows, x, weight, RowCodes::int16).isfinite();
        EXPECT_FALSE(finite[2].any().item<bool>());
        EXPECT_EQ(finite.sum().item<int64_t>(), 4 * 30);
      }
    }
  });
}

TEST(FewCodeRows, TakeZerosAndTheSmallestNumbers) {
  for_every_vector_set(has_few_code_rows, [] {
    const LowBit weight = random_codes(WeightKind::int8, 4, 70, 70, false);
    for (const float value : {0.0f, 1e-44f, 1e-38f}) {
      const Tensor x = at::empty({2, 70}, at::kFloat).fill_(value);
      EXPECT_TRUE(product(few_code_rows, x, weight, RowCodes::int16).isfinite().all().item<bool>()) << value;
    }
  });
}

/// What is written beside the result: nothing.
TEST(FewCodeRows, WriteTheirOwnResultsAlone) {
  for_every_vector_set(has_few_code_rows, [] {
    const LowBit weight = random_codes(WeightKind::int8, 37, 50, 50, false);
    const Tensor x = at::randn({3, 50}, at::kFloat), room = at::empty({3 * 37 + 2}, at::kFloat).fill_(-99.0f);
    few_code_rows(x.const_data_ptr<float>(), 3, weight.view(), RowCodes::int16, room.mutable_data_ptr<float>() + 1);
    EXPECT_EQ(room[0].item<float>(), -99.0f);
    EXPECT_EQ(room[3 * 37 + 1].item<float>(), -99.0f);
    EXPECT_TRUE(room.narrow(0, 1, 3 * 37).ne(-99.0f).all().item<bool>());
  });
}

}  // namespace
}  // namespace lithe::ops
