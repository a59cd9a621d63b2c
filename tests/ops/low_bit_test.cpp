#include "ops/low_bit.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "ops/few_code_rows.h"
#include "ops/finite_differences.h"
#include "ops/product.h"
#include "ops/row_gemm.h"
#include "ops/weight_kernels.h"
#include "product_support.h"
#include "random_codes.h"
#include "tensor_support.h"
#include "vector_sets.h"

namespace lithe::ops {
namespace {

/// By the definition of the layout.  -> [outs, width] float64
Tensor by_definition(const LowBit& weight) {
  Tensor codes = weight.codes.to(at::kDouble);
  if (weight.kind == WeightKind::int4) {
    const Tensor blocks = weight.codes.to(at::kInt).view({weight.outs(), -1, kCodeBlock / 2});
    codes = at::cat({blocks.bitwise_and(15), blocks.bitwise_right_shift(4)}, 2).flatten(1).to(at::kDouble) - 8;
  }
  const auto spread = [&](const Tensor& groups) {
    return groups.to(at::kDouble).repeat_interleave(weight.group, 1).narrow(1, 0, weight.width);
  };
  const Tensor scaled = codes * spread(weight.scales);
  return weight.offsets.defined() ? scaled + spread(weight.offsets) : scaled;
}

struct Shape {
  WeightKind kind;
  int64_t width, group;
};

constexpr Shape kShapes[] = {{WeightKind::int8, 1, 1},      {WeightKind::int8, 31, 31},   {WeightKind::int8, 70, 70},
                             {WeightKind::int8, 96, 32},    {WeightKind::int8, 100, 32},  {WeightKind::int8, 16, 16},
                             {WeightKind::int8, 272, 16},   {WeightKind::int8, 320, 320}, {WeightKind::int4, 32, 32},
                             {WeightKind::int4, 160, 32},   {WeightKind::int4, 192, 64},  {WeightKind::int4, 1152, 128},
                             {WeightKind::int8, 1100, 1100}};

template <class Test>
void for_every_shape(const Test& test) {
  const at::NoGradGuard no_gradients;
  for (const Shape& shape : kShapes) {
    for (const bool offsets : {false, true}) {
      SCOPED_TRACE(concat(bits_of(shape.kind), " bits, ", shape.width, " in groups of ", shape.group,
                          offsets ? ", with offsets" : ""));
      test(random_codes(shape.kind, 11, shape.width, shape.group, offsets));
    }
  }
}

TEST(LowBit, WidensByDefinition) {
  for_every_vector_set([] {
    for_every_shape([](const LowBit& weight) {
      const Tensor expected = by_definition(weight);
      test::expect_close(widened(weight), expected, 1e-6, "widened");
      const Tensor ids = at::tensor({10, 0, 10}, at::kLong);
      test::expect_close(low_bit_rows(weight, ids), expected.index_select(0, ids), 1e-6, "rows");
      test::expect_close(widened(weight.rows(3, 4)), expected.narrow(0, 3, 4), 1e-6, "a part");
    });
  });
}

/// What float32 sums show, and what rows rounded to 16 bits may add (ops/code_gemm.h).
constexpr double kFloatSums = 1e-5, kRoundedRows = 4e-4;

TEST(LowBit, MultipliesEveryCountOfRows) {
  for_every_vector_set([] {
    for_every_shape([](const LowBit& weight) {
      const Tensor exact = by_definition(weight), bias = at::randn({11}, at::kFloat);
      for (const int64_t rows : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 33}) {
        const Tensor x = at::randn({rows, weight.width}, at::kFloat);
        const Tensor y = low_bit_linear(x, weight, bias);
        const double most = (rows > kMostDotRowsOfCodes ? kRoundedRows : kFloatSums) *
                            std::sqrt(static_cast<double>(weight.width)) * 128 * kCodeStep;
        test::expect_close(y, x.to(at::kDouble).matmul(exact.t()) + bias, most, concat(rows, " rows"));
      }
    });
  });
}

TEST(LowBit, MultipliesByEveryProduct) {
  for_every_vector_set([] {
    const at::NoGradGuard no_gradients;
    for (const WeightKind kind : {WeightKind::int8, WeightKind::int4}) {
      const LowBit weight = random_codes(kind, 300, 2304, kind == WeightKind::int8 ? 2304 : 64, true);
      const Tensor x = at::randn({40, 2304}, at::kFloat), exact = x.to(at::kDouble).matmul(by_definition(weight).t());
      for (const Product product :
           {Product::row_gemm, Product::few_code_rows, Product::code_gemm, Product::tiles, Product::many_rows}) {
        if (product == Product::row_gemm && !has_row_gemm()) continue;
        if (product == Product::few_code_rows && !has_few_code_rows()) continue;
        use_product(product);
        const Tensor y = low_bit_linear(x, weight, std::nullopt);
        use_product(std::nullopt);
        EXPECT_LT((y - exact).abs().max().item<double>() / exact.abs().max().item<double>(),
                  product == Product::code_gemm || product == Product::few_code_rows ? 1e-4 : 2e-5);
      }
    }
  });
}

/// Blocks of the turned weights begin inside a block of codes, and scales change between them.
TEST(LowBit, GivesTheGradientOfTheRowsByEveryProduct) {
  for_every_vector_set([] {
    const at::NoGradGuard no_gradients;
    for (const auto& [kind, width, group] :
         {Shape{WeightKind::int8, 301, 301}, {WeightKind::int8, 301, 100}, {WeightKind::int4, 320, 64}}) {
      const LowBit weight = random_codes(kind, 1100, width, group, true);
      const Tensor y = at::randn({40, 1100}, at::kFloat), exact = y.to(at::kDouble).matmul(by_definition(weight));
      for (const bool by_row_gemm : {false, true}) {
        if (by_row_gemm && !has_row_gemm()) continue;
        if (by_row_gemm) use_product(Product::row_gemm);
        const Tensor x = low_bit_transposed(y, weight);
        use_product(std::nullopt);
        EXPECT_LT((x - exact).abs().max().item<double>() / exact.abs().max().item<double>(), 2e-5)
            << bits_of(kind) << " bits, by row_gemm: " << by_row_gemm;
      }
    }
  });
}

TEST(LowBit, ReadsTheWeightsOnceForLargeOnesToo) {
  const at::NoGradGuard no_gradients;
  const LowBit weight = random_codes(WeightKind::int4, 2048, 2048, 64, false);
  const Tensor exact = by_definition(weight);
  for (const int64_t rows : {1, 8, 9, 160, 257}) {
    const Tensor x = at::randn({rows, 2048}, at::kFloat), y = x.to(at::kDouble).matmul(exact.t());
    EXPECT_LT((low_bit_linear(x, weight, std::nullopt) - y).abs().max().item<double>() / y.abs().max().item<double>(),
              rows > kMostDotRowsOfCodes ? 1e-4 : 2e-5)
        << rows << " rows";
  }
}

TEST(LowBit, GivesTheGradientsOfTheProduct) {
  const LowBit weight = random_codes(WeightKind::int4, 11, 96, 32, true);
  const Tensor exact = by_definition(weight).to(at::kFloat), slopes = at::randn({5, 11}, at::kFloat);
  const Tensor x = test::leaf(at::randn({5, 96}, at::kFloat)), bias = test::leaf(at::randn({11}, at::kFloat));
  low_bit_linear(x, weight, bias).mul(slopes).sum().backward();
  test::expect_close(x.grad(), slopes.matmul(exact), 1e-5, "of the rows");
  test::expect_close(bias.grad(), slopes.sum(0), 1e-5, "of the bias");
  const Tensor alone = test::leaf(x);
  low_bit_linear(alone, weight, std::nullopt).mul(slopes).sum().backward();
  test::expect_close(alone.grad(), x.grad(), 0, "without a bias");
}

/// It computes in float32 only. As it is linear in rows and bias, differences over a step of 1 have the error of
/// float32 alone; the gradients are those of the definition in float64 too.
TEST(LowBit, HasTheGradientOfFiniteDifferencesAndOfTheDefinition) {
  for (const WeightKind kind : {WeightKind::int8, WeightKind::int4}) {
    const LowBit weight = random_codes(kind, 11, 96, 32, true);
    const Tensor exact = by_definition(weight), slopes = at::randn({4, 11}, at::kDouble);
    std::vector<Tensor> in{test::leaf(at::randn({4, 96}, at::kFloat)), test::leaf(at::randn({11}, at::kFloat))};
    const auto value = [&](const std::vector<Tensor>& at_) {
      return (low_bit_linear(at_[0], weight, at_[1]).to(at::kDouble) * slopes).sum();
    };
    value(in).backward();
    const Tensor expected[] = {slopes.matmul(exact), slopes.sum(0)};
    const at::NoGradGuard no_gradient;
    for (size_t which = 0; which < in.size(); ++which) {
      const double most = expected[which].abs().max().item<double>();
      test::expect_close(in[which].grad(), expected[which], 2e-6 * most, concat("input ", which));
      const Tensor direction = at::randn(in[which].sizes(), at::kFloat);
      test::expect_slope(value, in, which, direction, concat(bits_of(kind), " bits, input ", which));
    }
  }
}

TEST(Quantised, RoundsToTheNearestCode) {
  const Tensor weight = at::randn({7, 192}, at::kFloat);
  const LowBit eight = quantised(weight, WeightKind::int8, 192);
  const Tensor half_steps = weight.abs().amax(1, true) / 127 / 2;
  EXPECT_LE(((widened(eight) - weight).abs() - half_steps).max().item<double>(), 1e-6);
  // A grid of 4 bits through the largest number has steps of an eighth of it; the best one is not worse.
  const LowBit four = quantised(weight, WeightKind::int4, 64);
  const Tensor groups = weight.view({7, 3, 64}), coarse = groups.abs().amax(2, true) / 8;
  const Tensor rounded = (groups / coarse).round().clamp(-8, 7) * coarse;
  const auto error = [&](const Tensor& values) { return (values.view({7, 3, 64}) - groups).square().sum(2); };
  EXPECT_LE((error(widened(four)) - error(rounded)).max().item<double>(), 1e-5);
  EXPECT_EQ(four.bytes(), 7 * 192 / 2 + 7 * 3 * 4);
}

TEST(Quantised, KeepsWhatItsCodesHold) {
  for (const auto& [kind, group] : {std::pair{WeightKind::int8, 192}, {WeightKind::int4, 32}}) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
      const int64_t least = kind == WeightKind::int8 ? -127 : -8, most = kind == WeightKind::int8 ? 127 : 7;
      Tensor weight = at::randint(least, most + 1, {4, 192}, at::kFloat) / 16;
      weight.view({4, -1, group}).select(2, 0).fill_(static_cast<double>(least) / 16);
      test::expect_close(widened(quantised(weight.to(type), kind, group)), weight, 1e-6, c10::toString(type));
    }
  }
  const Tensor zeros = at::zeros({2, 32});
  test::expect_close(widened(quantised(zeros, WeightKind::int4, 32)), zeros, 0, "zeros");
  test::expect_close(widened(quantised(zeros, WeightKind::int8, 32)), zeros, 0, "zeros");
}

TEST(Quantised, ShowsWhatIsNotFinite) {
  for (const WeightKind kind : {WeightKind::int8, WeightKind::int4}) {
    for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
      Tensor weight = at::randn({3, 64}, at::kFloat);
      weight.view(-1)[70] = bad;
      const Tensor wide = widened(quantised(weight, kind, 32));
      EXPECT_TRUE(std::isnan(wide[1][0].item<float>()));
      EXPECT_TRUE(std::isfinite(wide[0].sum().item<float>() + wide[2].sum().item<float>()));
    }
  }
}

TEST(Quantised, RefusesGroupsThatDoNotFit) {
  EXPECT_THROW(quantised(at::zeros({2, 48}), WeightKind::int4, 32), Error);
  EXPECT_THROW(quantised(at::zeros({2, 64}), WeightKind::int4, 16), Error);
}

}  // namespace
}  // namespace lithe::ops
