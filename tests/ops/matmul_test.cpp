#include "ops/matmul.h"

#include <ATen/TensorOperators.h>

#include "base/error.h"
#include "ops/product.h"
#include "ops/product_support.h"
#include "ops/row_gemm.h"
#include "ops/tensor_support.h"
#include "vector_sets.h"

namespace lithe::ops {
namespace {

using test::Dice;
using test::expect_close;
using test::leaf;

/// In float64, from the weights as they are stored.
Tensor plain(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  const Tensor y = x.to(at::kDouble).matmul(weight.to(at::kDouble).t());
  return bias ? y + bias->to(at::kDouble) : y;
}

/// Compares at weights of size 1 / sqrt(width), so that results are of size 1. `times` the usual deviation is allowed.
void check(Dice& dice, int64_t rows, int64_t width, int64_t outs, double times = 1) {
  const Tensor x = dice.normal({rows, width}).to(at::kFloat),
               wide = dice.normal({outs, width}, 1.0 / std::sqrt(static_cast<double>(width)));
  const Tensor bias = dice.normal({outs}).to(at::kFloat);
  // The rounding of a float32 sum grows with the root of its length.
  const double allowed = times * 1e-5 * std::max(1.0, std::sqrt(static_cast<double>(width)) / 64);
  for (const at::ScalarType type : kStored) {
    const Tensor weight = wide.to(type);
    const std::string what = concat(rows, " x ", width, " -> ", outs, " stored as ", c10::toString(type));
    expect_close(ops::linear(x, weight, std::nullopt), plain(x, weight, std::nullopt), allowed, what);
    expect_close(ops::linear(x, weight, bias.to(type)), plain(x, weight, bias.to(type)), allowed, what + " with bias");
  }
}

TEST(Linear, EqualsThePlainProductAtOddShapes) {
  const at::NoGradGuard no_gradient;
  Dice dice(1);
  for (const int64_t rows : {1, 2, 3, 4, 5, 19}) {
    for (const int64_t width : {1, 15, 16, 33, 100, 257}) check(dice, rows, width, 21);
    check(dice, rows, 40, 1);
  }
}

TEST(Linear, EqualsThePlainProductAcrossPanels) {
  const at::NoGradGuard no_gradient;
  Dice dice(2);
  check(dice, 6, 4096, 1027);  // 512 columns a panel: two whole ones and a rest
  check(dice, 5, 200001, 17);  // wider than a panel: 16 columns at least
  check(dice, 3, 4096, 1027);
}

/// Products that are made for large sizes, at sizes for which they would not be chosen.
TEST(Linear, EqualsThePlainProductWhicheverKernelIsAskedFor) {
  const at::NoGradGuard no_gradient;
  Dice dice(4);
  for (const Product product : {Product::row_gemm, Product::tiles}) {
    if (product == Product::row_gemm && !has_row_gemm()) continue;
    use_product(product);
    for (const int64_t rows : {0, 1, 5, 33}) {
      for (const int64_t width : {1, 33, 257}) check(dice, rows, width, 21, product == Product::tiles ? 16 : 4);
    }
    use_product(std::nullopt);
  }
}

TEST(Linear, TakesNoRows) {
  const at::NoGradGuard no_gradient;
  Dice dice(3);
  check(dice, 0, 24, 9);
}

TEST(Linear, ReadsStridedRowsAndWeights) {
  const at::NoGradGuard no_gradient;
  Dice dice(4);
  const Tensor x = dice.normal({32, 7}).to(at::kFloat).t();
  const Tensor wide = dice.normal({32, 11}, 0.2);
  for (const at::ScalarType type : kStored) {
    const Tensor weight = wide.to(type).t();
    expect_close(ops::linear(x, weight, std::nullopt), plain(x, weight, std::nullopt), 1e-5, "both strided");
    expect_close(ops::linear(x, weight.contiguous(), std::nullopt), plain(x, weight, std::nullopt), 1e-5,
                 "rows strided");
    const Tensor few = x.narrow(0, 2, 2);
    expect_close(ops::linear(few, weight.contiguous(), std::nullopt), plain(few, weight, std::nullopt), 1e-5,
                 "few, strided");
  }
}

TEST(Linear, WidensInFloat64Runs) {
  Dice dice(5);
  const Tensor x = dice.normal({3, 20}), weight = dice.normal({4, 20}).to(at::kBFloat16),
               bias = dice.normal({4}).to(at::kFloat);
  expect_close(ops::linear(x, weight, bias), plain(x, weight, bias), 1e-13, "float64 rows");
}

TEST(Linear, PassesGradientsThroughEveryStorage) {
  Dice dice(6);
  const Tensor values = dice.normal({6, 20}).to(at::kFloat), cotangent = dice.normal({6, 8}).to(at::kFloat),
               wide = dice.normal({8, 20});
  for (const at::ScalarType type : kStored) {
    Tensor x1 = leaf(values), x2 = leaf(values), weight = leaf(wide.to(type)), bias = leaf(dice.normal({8}).to(type));
    (ops::linear(x1, weight, bias) * cotangent).sum().backward();
    (plain(x2, weight.detach(), bias.detach()) * cotangent).sum().backward();
    expect_close(x1.grad(), x2.grad(), 1e-5, "x");
    const Tensor expected = cotangent.to(at::kDouble).t().matmul(values.to(at::kDouble));
    expect_close(weight.grad(), expected, type == at::kFloat ? 1e-5 : 1e-1,
                 "weight");  // the gradient is stored as the weight is
    expect_close(bias.grad(), cotangent.to(at::kDouble).sum(0), type == at::kFloat ? 1e-5 : 4e-2, "bias");
  }
}

TEST(Linear, LearnsByRowGemmAsByTheLibrary) {
  if (!has_row_gemm()) GTEST_SKIP() << "no kernel for it here";
  Dice dice(9);
  const Tensor x = dice.normal({37, 45}), weight = dice.normal({23, 45}), bias = dice.normal({23}),
               slopes = dice.normal({37, 23});
  const auto gradients = [&](at::ScalarType type, bool x_learns, bool weight_learns) {
    const auto made = [&](const Tensor& values, bool learns) {
      return values.to(type).clone().set_requires_grad(learns);
    };
    const Tensor a = made(x, x_learns), w = made(weight, weight_learns), b = made(bias, weight_learns);
    const Tensor y = ops::linear(a, w, b);
    y.mul(slopes.to(type)).sum().backward();
    return std::vector<Tensor>{y.detach(), a.grad(), w.grad(), b.grad()};
  };
  for (const auto& [x_learns, weight_learns] : {std::pair{true, true}, {true, false}, {false, true}}) {
    const std::vector<Tensor> expected = gradients(at::kDouble, x_learns, weight_learns);
    use_product(Product::row_gemm);
    const std::vector<Tensor> actual = gradients(at::kFloat, x_learns, weight_learns);
    use_product(std::nullopt);
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(actual[i].defined(), expected[i].defined()) << i;
      if (expected[i].defined()) expect_close(actual[i], expected[i], 1e-4, std::to_string(i));
    }
  }
}

TEST(Linear, RefusesAnotherWidth) {
  Dice dice(7);
  EXPECT_THROW(ops::linear(dice.normal({2, 4}), dice.normal({3, 5}), std::nullopt), Error);
}

TEST(Linear, EveryVectorSetGivesTheSame) {
  const at::NoGradGuard no_gradient;
  Dice dice(8);
  for (const at::ScalarType type : kStored) {
    for (const int64_t rows : {1, 4, 9}) {
      const Tensor x = dice.normal({rows, 131}).to(at::kFloat), weight = dice.normal({19, 131}, 0.1).to(type);
      for_every_vector_set([&] {
        expect_close(ops::linear(x, weight, std::nullopt), plain(x, weight, std::nullopt), 1e-5, concat(rows, " rows"));
      });
    }
  }
}

}  // namespace
}  // namespace lithe::ops
