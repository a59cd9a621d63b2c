// Products of some rows with weights of float types, turned into panels.
#include "ops/few_float_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <limits>

#include "product_support.h"
#include "vector_sets.h"

namespace lithe::ops {
namespace {

using at::Tensor;

// Panels of 32 rows of weights and parts of them; columns that end inside a run of 64 bytes or a part of 128.
TEST(FewFloatRows, EqualTheProductForEveryCountOfRows) {
  for_every_vector_set(has_few_float_rows, [] {
    for (int64_t rows = 1; rows <= 30; ++rows) {
      expect_equals_product(few_float_rows, {std::begin(kStored), std::end(kStored)},
                            {{rows, 1, 1}, {rows, 31, 15}, {rows, 32, 128}, {rows, 33, 129}, {rows, 70, 301}},
                            kFloatDeviation);
    }
    expect_equals_product(few_float_rows, {std::begin(kStored), std::end(kStored)}, {{16, 100, 4100}}, kFloatDeviation);
  });
}

/// A row's result depends neither on the rows beside it nor on where the weights lie.
TEST(FewFloatRows, GiveEachRowTheSameBitsInEveryBatchAndAtEveryAddress) {
  for_every_vector_set(has_few_float_rows, [] {
    for (const at::ScalarType type : kStored) {
      const Tensor x = at::randn({17, 203}, at::kFloat), weight = at::randn({45, 203}, at::kFloat).to(type);
      const Tensor together = product(few_float_rows, x, weight);
      for (int64_t row = 0; row < 17; ++row)
        EXPECT_TRUE(product(few_float_rows, x.narrow(0, row, 1).contiguous(), weight)[0].equal(together[row])) << row;
      const Tensor room = at::empty({weight.numel() + 32}, weight.options());
      for (const int64_t first : {1, 2, 13, 31}) {
        const Tensor moved = room.narrow(0, first, weight.numel()).view(weight.sizes()).copy_(weight);
        EXPECT_TRUE(product(few_float_rows, x, moved).equal(together)) << first;
      }
    }
  });
}

/// Infinite and subnormal weights of 16 bits too: x picks one at a time.
TEST(FewFloatRows, WidenEveryPatternExactly) {
  for_every_vector_set(has_few_float_rows, [] {
    for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
      Tensor weight = at::full({4096, 16}, 0, at::kShort);
      auto* const bits = reinterpret_cast<uint16_t*>(weight.mutable_data_ptr());
      for (int i = 0; i < 65536; ++i) bits[i] = static_cast<uint16_t>(i);
      weight = weight.view(type);
      const Tensor expected = weight.to(at::kFloat);
      for (int64_t column = 0; column < 16; ++column) {
        Tensor x = at::full({1, 1}, 1.0, at::kFloat);
        const Tensor one = weight.narrow(1, column, 1).contiguous();
        const Tensor y = product(few_float_rows, x, one).view(-1), wanted = expected.select(1, column);
        EXPECT_TRUE(y.eq(wanted).logical_or(wanted.isnan().logical_and(y.isnan())).all().item<bool>()) << column;
      }
    }
  });
}

TEST(FewFloatRows, KeepARowThatIsNotFiniteToItself) {
  for_every_vector_set(has_few_float_rows, [] {
    Tensor x = at::randn({6, 40}, at::kFloat);
    x[3][39] = std::numeric_limits<float>::quiet_NaN();
    const Tensor finite = product(few_float_rows, x, at::randn({50, 40}, at::kFloat)).isfinite();
    EXPECT_FALSE(finite[3].any().item<bool>());
    EXPECT_EQ(finite.sum().item<int64_t>(), 5 * 50);
  });
}

}  // namespace
}  // namespace lithe::ops
