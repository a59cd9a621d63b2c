#include "ops/activation.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>

#include <cmath>
#include <numbers>

#include "base/error.h"
#include "ops/tensor_support.h"

namespace lithe::ops {
namespace {

using test::Dice;
using test::expect_close;
using test::leaf;

/// The formulas, in float64.
Tensor plain(Activation kind, const Tensor& input) {
  const Tensor x = input.to(at::kDouble);
  switch (kind) {
    case Activation::silu:
      return x * at::sigmoid(x);
    case Activation::gelu:
      return x * 0.5 * (1.0 + at::erf(x / std::numbers::sqrt2));
    case Activation::gelu_tanh:
      return 0.5 * x * (1.0 + at::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::quick_gelu:
      return x * at::sigmoid(1.702 * x);
    case Activation::relu:
      return (x + x.abs()) / 2;
  }
  return x;
}

constexpr Activation kAll[] = {Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu,
                               Activation::relu};

TEST(Activation, EqualsTheFormulas) {
  Dice dice(1);
  for (const Activation kind : kAll) {
    for (const int64_t width : {1, 15, 16384, 40001}) {
      const Tensor x = dice.normal({2, width}, 4.0).to(at::kFloat);
      const Tensor expected = plain(kind, x);
      expect_close(activate(kind, x.clone()), expected, 1e-5,
                   concat("kind ", static_cast<int>(kind), ", width ", width));
    }
  }
}

TEST(Activation, HoldsAtTheEndsOfTheRange) {
  const Tensor x = at::empty({6}, at::kFloat);
  const float values[] = {-1000.0f, -88.5f, -0.0f, 1e-30f, 88.5f, 1000.0f};
  std::copy(std::begin(values), std::end(values), x.mutable_data_ptr<float>());
  expect_close(activate(Activation::quick_gelu, x.clone()), plain(Activation::quick_gelu, x), 1e-5, "quick_gelu");
  expect_close(swiglu(x.clone(), x), plain(Activation::silu, x) * x.to(at::kDouble), 1e-1, "swiglu");  // of up to 1e6
}

TEST(Activation, PassesGradientsAndLeavesItsInput) {
  Dice dice(2);
  const Tensor values = dice.normal({4, 9}).to(at::kFloat), cotangent = dice.normal({4, 9}).to(at::kFloat);
  for (const Activation kind : kAll) {
    Tensor x = leaf(values), reference = leaf(values);
    (activate(kind, x) * cotangent).sum().backward();
    (plain(kind, reference) * cotangent).sum().backward();
    expect_close(x.grad(), reference.grad(), 1e-5, concat("kind ", static_cast<int>(kind)));
    EXPECT_EQ(test::largest_difference(x, values), 0.0);
  }
}

TEST(Swiglu, EqualsTheFormula) {
  Dice dice(3);
  for (const int64_t width : {1, 31, 11008}) {
    const Tensor gate = dice.normal({3, width}, 3.0).to(at::kFloat), up = dice.normal({3, width}).to(at::kFloat);
    expect_close(swiglu(gate.clone(), up), plain(Activation::silu, gate) * up, 1e-5, concat("width ", width));
  }
}

TEST(Swiglu, PassesGradientsToEitherSideAlone) {
  Dice dice(4);
  const Tensor gate = dice.normal({3, 8}).to(at::kFloat), up = dice.normal({3, 8}).to(at::kFloat);
  Tensor gate1 = leaf(gate), up1 = leaf(up), gate2 = leaf(gate), up2 = leaf(up);
  swiglu(gate1, up1).sum().backward();
  (plain(Activation::silu, gate2) * up2).sum().backward();
  expect_close(gate1.grad(), gate2.grad(), 1e-5, "gate");
  expect_close(up1.grad(), up2.grad(), 1e-5, "up");
  Tensor alone = leaf(up);
  swiglu(gate.clone(), alone).sum().backward();
  expect_close(alone.grad(), up2.grad(), 1e-5, "up alone");
}

TEST(Swiglu, RefusesTwoShapes) {
  Dice dice(5);
  EXPECT_THROW(swiglu(dice.normal({2, 3}), dice.normal({2, 4})), Error);
}

TEST(Activation, IsFoundByName) {
  EXPECT_EQ(activation_from_name("silu", "config.json"), Activation::silu);
  EXPECT_EQ(activation_from_name("gelu_new", "config.json"), Activation::gelu_tanh);
  EXPECT_EQ(activation_from_name("quick_gelu", "config.json"), Activation::quick_gelu);
  try {
    activation_from_name("mish", "config.json");
    FAIL() << "an unknown activation was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::bad_file);
    EXPECT_NE(std::string(error.what()).find("mish"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace lithe::ops
