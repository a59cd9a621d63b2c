#include "ops/code_gemm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "code_product_support.h"
#include "random_codes.h"
#include "vector_sets.h"

namespace lithe::ops {
namespace {

Tensor product(const Tensor& x, const LowBit& weight, RowCodes codes) {
  return product(code_gemm, x, weight, codes);
}

struct ProductShape {
  WeightKind kind;
  int64_t rows, outs, width, group;
};
constexpr ProductShape kProductShapes[] = {
    {WeightKind::int8, 1, 1, 1, 1},         {WeightKind::int8, 7, 13, 33, 33},
    {WeightKind::int8, 33, 57, 1025, 1025}, {WeightKind::int8, 40, 120, 4096, 4096},
    {WeightKind::int8, 17, 15, 192, 32},    {WeightKind::int8, 5, 9, 1024, 512},
    {WeightKind::int4, 1, 1, 32, 32},       {WeightKind::int4, 32, 56, 1024, 64},
    {WeightKind::int4, 126, 301, 2304, 64}, {WeightKind::int4, 65, 29, 1056, 32},
    {WeightKind::int4, 16, 70, 1152, 128},  {WeightKind::int4, 50, 14, 1152, 384}};

TEST(CodeGemm, EqualsTheProductForEveryRemainder) {
  for_every_vector_set([] {
    for (const ProductShape& shape : kProductShapes) {
      for (const bool offsets : {false, true}) {
        const LowBit weight = random_codes(shape.kind, shape.outs, shape.width, shape.group, offsets);
        ASSERT_TRUE(taken_by_code_gemm(weight.view()));
        const Tensor x = at::randn({shape.rows, shape.width}, at::kFloat);
        SCOPED_TRACE(concat(bits_of(shape.kind), " bits, ", shape.rows, " x ", shape.width, " -> ", shape.outs,
                            offsets ? ", with offsets" : ""));
        EXPECT_LT(deviation(product(x, weight, RowCodes::int16), x, weight), kMost16);
        EXPECT_LT(deviation(product(x, weight, RowCodes::int8), x, weight), kMost8);
      }
    }
  });
}

/// The largest codes of both factors: neither sums of a group nor of a word overflow.
TEST(CodeGemm, HoldsTheLargestSums) {
  for_every_vector_set([] {
    LowBit weight = random_codes(WeightKind::int8, 3, 512, 256, false);
    weight.codes.fill_(-128);
    const Tensor x = at::empty({2, 512}, at::kFloat).fill_(-3.0f);
    for (const RowCodes codes : {RowCodes::int16, RowCodes::int8}) {
      const Tensor exact = x.to(at::kDouble).matmul(widened(weight).to(at::kDouble).t());
      EXPECT_LT(((product(x, weight, codes) - exact) / exact).abs().max().item<double>(), 1e-5);
    }
  });
}

TEST(CodeGemm, AnOutlierSpoilsItsGroupAlone) {
  for_every_vector_set([] {
    const LowBit weight = random_codes(WeightKind::int8, 20, 1024, 1024, false);
    Tensor x = at::randn({3, 1024}, at::kFloat), far = x.clone();
    far.narrow(1, 1000, 1).fill_(1e4);
    const Tensor near = product(x, weight, RowCodes::int8), wide = widened(weight);
    const Tensor step = (far - x).narrow(1, 1000, 1).matmul(wide.narrow(1, 1000, 1).t());
    const double lost = (product(far, weight, RowCodes::int8) - step - near).abs().max().item<double>();
    const double most = 1e4 / 254 * wide.narrow(1, 896, 128).abs().sum(1).max().item<double>();
    EXPECT_LT(lost, most);
  });
}

TEST(CodeGemm, MakesARowNaNThatIsNotFinite) {
  for_every_vector_set([] {
    const LowBit weight = random_codes(WeightKind::int4, 30, 128, 64, true);
    for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      Tensor x = at::randn({5, 128}, at::kFloat);
      x[2][70] = bad;
      for (const RowCodes codes : {RowCodes::int16, RowCodes::int8}) {
        const Tensor finite = product(x, weight, codes).isfinite();
        EXPECT_FALSE(finite[2].any().item<bool>());
        EXPECT_EQ(finite.sum().item<int64_t>(), 4 * 30);
      }
    }
  });
}

TEST(CodeGemm, TakesZerosAndTheSmallestNumbers) {
  for_every_vector_set([] {
    const LowBit weight = random_codes(WeightKind::int8, 4, 64, 64, false);
    for (const float value : {0.0f, 1e-44f, 1e-38f}) {
      const Tensor x = at::empty({2, 64}, at::kFloat).fill_(value);
      EXPECT_TRUE(product(x, weight, RowCodes::int16).isfinite().all().item<bool>()) << value;
    }
  });
}

TEST(CodeGemm, RefusesGroupsThatItCannotCut) {
  EXPECT_FALSE(taken_by_code_gemm(random_codes(WeightKind::int8, 2, 300, 100, false).view()));
  EXPECT_FALSE(taken_by_code_gemm(random_codes(WeightKind::int8, 2, 900, 300, false).view()));
  EXPECT_FALSE(taken_by_code_gemm({.kind = WeightKind::float32, .outs = 1, .width = 8}));
}

}  // namespace
}  // namespace lithe::ops
