#include "ops/norm.h"

#include <ATen/TensorOperators.h>

#include "base/error.h"
#include "ops/tensor_support.h"

namespace lithe::ops {
namespace {

using test::Dice;
using test::expect_close;
using test::leaf;

Tensor plain_rms_norm(const Tensor& x, const Tensor& gain, double eps) {
  const Tensor wide = x.to(at::kDouble);
  return wide / (wide.square().mean(-1, true) + eps).sqrt() * gain.to(at::kDouble);
}

Tensor plain_layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, double eps) {
  const Tensor wide = x.to(at::kDouble);
  const Tensor centred = wide - wide.mean(-1, true);
  return centred / (centred.square().mean(-1, true) + eps).sqrt() * gain.to(at::kDouble) + bias.to(at::kDouble);
}

TEST(RmsNorm, EqualsTheFormulaAtAnyWidth) {
  Dice dice(1);
  for (const int64_t width : {1, 7, 16, 33, 256, 4099}) {
    for (const int64_t rows : {0, 1, 3, 50}) {
      const Tensor x = dice.normal({rows, width}).to(at::kFloat), gain = dice.normal({width}).to(at::kFloat);
      expect_close(rms_norm(x, gain, 1e-5), plain_rms_norm(x, gain, 1e-5), 1e-5, concat(rows, " x ", width));
    }
  }
}

TEST(RmsNorm, ReadsStridedAndHalfRows) {
  Dice dice(2);
  const Tensor gain = dice.normal({24}).to(at::kFloat);
  const Tensor strided = dice.normal({24, 10}).to(at::kFloat).t();
  expect_close(rms_norm(strided, gain, 1e-6), plain_rms_norm(strided, gain, 1e-6), 1e-5, "strided");
  const Tensor half = dice.normal({10, 24}).to(at::kBFloat16);
  const Tensor y = rms_norm(half, gain, 1e-6);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  expect_close(y, plain_rms_norm(half, gain, 1e-6), 4e-2, "bfloat16");
}

TEST(RmsNorm, KeepsFloat64) {
  Dice dice(3);
  const Tensor x = dice.normal({5, 24}), gain = dice.normal({24});
  expect_close(rms_norm(x, gain, 1e-6), plain_rms_norm(x, gain, 1e-6), 1e-13, "float64");
}

TEST(RmsNorm, PassesGradients) {
  Dice dice(4);
  const Tensor cotangent = dice.normal({6, 12}), x = dice.normal({6, 12}), gain = dice.normal({12});
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    Tensor x1 = leaf(x.to(type)), gain1 = leaf(gain.to(type)), x2 = leaf(x), gain2 = leaf(gain);
    (rms_norm(x1, gain1, 1e-5) * cotangent.to(type)).sum().backward();
    (plain_rms_norm(x2, gain2, 1e-5) * cotangent).sum().backward();
    const double allowed = type == at::kFloat ? 1e-5 : 1e-12;
    expect_close(x1.grad(), x2.grad(), allowed, "x");
    expect_close(gain1.grad(), gain2.grad(), allowed, "gain");
  }
}

TEST(RmsNorm, PassesTheGainsGradientWhereRowsNeedNone) {
  Dice dice(5);
  const Tensor x = dice.normal({6, 12}).to(at::kFloat);
  Tensor gain = leaf(dice.normal({12}).to(at::kFloat));
  rms_norm(x, gain, 1e-5).sum().backward();
  EXPECT_TRUE(gain.grad().defined());
}

TEST(RmsNorm, RefusesAnotherWidth) {
  Dice dice(6);
  EXPECT_THROW(rms_norm(dice.normal({2, 4}), dice.normal({5}), 1e-5), Error);
}

TEST(LayerNorm, EqualsTheFormula) {
  Dice dice(7);
  const Tensor x = dice.normal({9, 37}).to(at::kFloat), gain = dice.normal({37}).to(at::kFloat),
               bias = dice.normal({37}).to(at::kFloat);
  expect_close(layer_norm(x, gain, bias, 1e-5), plain_layer_norm(x, gain, bias, 1e-5), 1e-5, "with bias");
  expect_close(layer_norm(x, gain, std::nullopt, 1e-5), plain_layer_norm(x, gain, bias * 0, 1e-5), 1e-5,
               "without bias");
}

}  // namespace
}  // namespace lithe::ops
