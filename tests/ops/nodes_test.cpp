// The operations that are one node of autograd in training: against finite differences in float64, against LibTorch's
// gradients of the same formula, and what they keep until the backward pass.
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tensor.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <array>

#include "allocation_meter.h"
#include "base/error.h"
#include "ops/finite_differences.h"
#include "ops/frozen_linear.h"
#include "ops/learning_linear.h"
#include "ops/norm.h"
#include "ops/norm_node.h"
#include "ops/rope.h"
#include "ops/row_gemm.h"
#include "ops/swiglu_node.h"

namespace lithe::ops {
namespace {

using test::Dice;
using test::expect_close;
using test::expect_finite_differences;
using test::expect_slope;
using test::leaf;

Tensor plain_norm(const Tensor& x, const Tensor& gain) {
  return x / (x.square().mean(-1, true) + 1e-5).sqrt() * gain;
}

Tensor plain_rotation(const Tensor& x, const RopeAngles& angles) {
  const Tensor cosine = angles.cosine.unsqueeze(1), sine = angles.sine.unsqueeze(1);
  const auto halves = x.chunk(2, -1);
  const Tensor turned[] = {halves[0] * cosine - halves[1] * sine, halves[1] * cosine + halves[0] * sine};
  return at::cat({turned[0], turned[1]}, -1);
}

RopeAngles some_angles(int64_t rows, int64_t head_dim, const Tensor& like) {
  std::vector<int64_t> places;
  for (int64_t row = 0; row < rows; ++row) places.push_back(3 * row + 1);
  return rope_angles({.head_dim = head_dim}, places).to(like);
}

/// Bytes that are held after `forward`, but for its result.
int64_t kept_by(const std::function<Tensor()>& forward) {
  const auto meter = std::make_shared<test::AllocationMeter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
  const Tensor y = forward();
  return meter->now() - static_cast<int64_t>(y.nbytes());
}

TEST(NormNode, HasTheGradientOfFiniteDifferences) {
  Dice dice(1);
  const Tensor cotangent = dice.normal({3, 7}), index = at::tensor({4, 0, 2}, at::kLong);
  const Tensor x = leaf(dice.normal({5, 7})), gain = leaf(dice.normal({7}));
  expect_finite_differences(
      [&](const std::vector<Tensor>& in) { return (rms_norm_node(in[0], index, in[1], 1e-5) * cotangent).sum(); },
      {x, gain}, "some rows");
  const Tensor all = leaf(dice.normal({3, 7})), gain2 = leaf(dice.normal({7}));
  expect_finite_differences(
      [&](const std::vector<Tensor>& in) { return (rms_norm(in[0], in[1], 1e-5) * cotangent).sum(); }, {all, gain2},
      "all rows");
}

TEST(NormNode, EqualsLibTorchAtAnyWidth) {
  Dice dice(2);
  for (const int64_t width : {1, 16, 300, 1100}) {
    const Tensor x = dice.normal({9, width}), gain = dice.normal({width}), cotangent = dice.normal({4, width});
    const Tensor index = at::tensor({8, 3, 0, 5}, at::kLong);
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
      const double allowed = type == at::kFloat ? 2e-5 : 1e-12;
      const Tensor x1 = leaf(x.to(type)), gain1 = leaf(gain.to(type)), x2 = leaf(x), gain2 = leaf(gain);
      const Tensor y = rms_norm_node(x1, index, gain1, 1e-5), expected = plain_norm(x2.index_select(0, index), gain2);
      expect_close(y, expected, allowed, concat("width ", width));
      (y * cotangent).sum().backward();
      (expected * cotangent).sum().backward();
      expect_close(x1.grad(), x2.grad(), allowed * 10, concat("width ", width, ", x"));
      expect_close(gain1.grad(), gain2.grad(), allowed * 10, concat("width ", width, ", gain"));
    }
  }
}

TEST(NormNode, LeavesAFrozenGainAlone) {
  Dice dice(3);
  const Tensor x = leaf(dice.normal({4, 6})), gain = dice.normal({6});
  rms_norm(x, gain, 1e-5).sum().backward();
  EXPECT_TRUE(x.grad().defined());
  EXPECT_FALSE(gain.grad().defined());
}

TEST(NormNode, KeepsNothingButItsInput) {
  const Tensor x = leaf(at::randn({64, 256}, at::kFloat)), gain = leaf(at::randn({256}, at::kFloat));
  const Tensor index = at::tensor({1, 3, 5}, at::kLong);
  EXPECT_LT(kept_by([&] { return rms_norm(x, gain, 1e-5); }), 1024);
  EXPECT_LT(kept_by([&] { return rms_norm_node(x, index, gain, 1e-5); }), 1024);
}

TEST(SwigluNode, HasTheGradientOfFiniteDifferences) {
  Dice dice(4);
  const Tensor cotangent = dice.normal({3, 5});
  const Tensor gate = leaf(dice.normal({3, 5}, 2.0)), up = leaf(dice.normal({3, 5})), weight = leaf(dice.normal({3}));
  expect_finite_differences(
      [&](const std::vector<Tensor>& in) { return (swiglu_node(in[0], in[1], in[2]) * cotangent).sum(); },
      {gate, up, weight}, "with weights");
  const Tensor gate2 = leaf(dice.normal({3, 5}, 2.0)), up2 = leaf(dice.normal({3, 5}));
  expect_finite_differences(
      [&](const std::vector<Tensor>& in) { return (swiglu_node(in[0], in[1]) * cotangent).sum(); }, {gate2, up2},
      "without weights");
}

TEST(SwigluNode, EqualsLibTorchAtAnyWidth) {
  Dice dice(5);
  for (const int64_t width : {1, 31, 700}) {
    const Tensor gate = dice.normal({6, width}, 3.0), up = dice.normal({6, width}), cotangent = dice.normal({6, width});
    const Tensor weight = dice.normal({6});
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
      const double allowed = type == at::kFloat ? 1e-4 : 1e-11;
      const Tensor gate1 = leaf(gate.to(type)), up1 = leaf(up.to(type)), weight1 = leaf(weight.to(type));
      const Tensor gate2 = leaf(gate), up2 = leaf(up), weight2 = leaf(weight);
      const Tensor y = swiglu_node(gate1, up1, weight1), expected = at::silu(gate2) * up2 * weight2.unsqueeze(1);
      expect_close(y, expected, allowed, concat("width ", width));
      (y * cotangent).sum().backward();
      (expected * cotangent).sum().backward();
      expect_close(gate1.grad(), gate2.grad(), allowed, concat("width ", width, ", gate"));
      expect_close(up1.grad(), up2.grad(), allowed, concat("width ", width, ", up"));
      expect_close(weight1.grad(), weight2.grad(), allowed, concat("width ", width, ", weight"));
    }
  }
}

TEST(SwigluNode, KeepsNothingButItsInputs) {
  const Tensor gate = leaf(at::randn({64, 256}, at::kFloat)), up = leaf(at::randn({64, 256}, at::kFloat));
  const Tensor weight = leaf(at::randn({64}, at::kFloat));
  EXPECT_LT(kept_by([&] { return swiglu_node(gate, up, weight); }), 1024);
}

TEST(SwigluNode, RoundsWhatItKeepsIfAsked) {
  Dice dice(8);
  const Tensor gate = dice.normal({64, 256}).to(at::kFloat), up = dice.normal({64, 256}).to(at::kFloat),
               weight = dice.normal({64}).to(at::kFloat), cotangent = dice.normal({64, 256}).to(at::kFloat);
  const std::vector<Tensor> exact{leaf(gate), leaf(up), leaf(weight)}, rounded{leaf(gate), leaf(up), leaf(weight)};
  Tensor y;
  EXPECT_LT(kept_by([&] { return y = swiglu_node(rounded[0], rounded[1], rounded[2], true); }),
            2 * 2 * 64 * 256 + 1024);
  const Tensor expected = swiglu_node(exact[0], exact[1], exact[2]);
  expect_close(y, expected, 0, "result");
  (y * cotangent).sum().backward();
  (expected * cotangent).sum().backward();
  for (size_t i = 0; i < exact.size(); ++i)
    expect_close(rounded[i].grad(), exact[i].grad(), 0x1p-6 * exact[i].grad().abs().max().item<double>(),
                 concat("gradient ", i));
}

TEST(FrozenLinear, HasTheGradientOfFiniteDifferences) {
  Dice dice(11);
  const Tensor cotangent = dice.normal({5, 4});
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const Tensor weight = dice.normal({4, 7}).to(type);
    expect_finite_differences(
        [&](const std::vector<Tensor>& in) { return (frozen_linear(in[0], weight, in[1]) * cotangent).sum(); },
        {leaf(dice.normal({5, 7})), leaf(dice.normal({4}))}, c10::toString(type));
  }
}

/// It computes in float32 only. As it is linear in each of its inputs, differences over a step of 1 have the error of
/// float32 alone; the gradients are those of the definition in float64 too.
TEST(LearningLinear, HasTheGradientOfFiniteDifferencesAndOfTheDefinition) {
  if (!has_row_gemm()) GTEST_SKIP() << "no kernel for it here";
  Dice dice(12);
  for (const auto& [rows, out, in] : {std::array<int64_t, 3>{5, 4, 7}, {40, 33, 70}, {64, 300, 128}}) {
    const std::string what = concat(rows, " rows, ", out, " x ", in);
    const Tensor cotangent = dice.normal({rows, out});
    const std::vector<Tensor> wide{dice.normal({rows, in}), dice.normal({out, in}), dice.normal({out})};
    std::vector<Tensor> ours, exact;
    for (const Tensor& one : wide) {
      ours.push_back(leaf(one.to(at::kFloat)));
      exact.push_back(leaf(ours.back().to(at::kDouble)));
    }
    const auto value = [&](const std::vector<Tensor>& in_place) {
      return (learning_linear(in_place[0], in_place[1], in_place[2]).to(at::kDouble) * cotangent).sum();
    };
    value(ours).backward();
    ((exact[0].matmul(exact[1].t()) + exact[2]) * cotangent).sum().backward();
    const at::NoGradGuard no_gradient;
    for (size_t which = 0; which < ours.size(); ++which) {
      const double most = exact[which].grad().abs().max().item<double>();
      expect_close(ours[which].grad(), exact[which].grad(), 2e-6 * most, concat(what, ": input ", which));
      const Tensor direction = dice.normal(wide[which].sizes()).to(at::kFloat);
      expect_slope(value, ours, which, direction, concat(what, ": input ", which));
    }
  }
}

TEST(RotateNode, HasTheGradientOfFiniteDifferences) {
  Dice dice(6);
  const Tensor x = leaf(dice.normal({3, 2, 6})), cotangent = dice.normal({3, 2, 6});
  const RopeAngles angles = some_angles(3, 6, x);
  expect_finite_differences([&](const std::vector<Tensor>& in) { return (rotate(in[0], angles) * cotangent).sum(); },
                            {x}, "rotation");
}

TEST(RotateNode, EqualsLibTorchAndKeepsTheAngles) {
  Dice dice(7);
  const Tensor x = dice.normal({40, 4, 32}).to(at::kFloat), cotangent = dice.normal({40, 4, 32}).to(at::kFloat);
  const Tensor x1 = leaf(x), x2 = leaf(x);
  const RopeAngles angles = some_angles(40, 32, x);
  const Tensor y = rotate(x1, angles), expected = plain_rotation(x2, angles);
  expect_close(y, expected, 1e-5, "rows");
  (y * cotangent).sum().backward();
  (expected * cotangent).sum().backward();
  expect_close(x1.grad(), x2.grad(), 1e-5, "gradient");
  EXPECT_EQ(test::largest_difference(x1, x), 0.0);
  EXPECT_LT(kept_by([&] { return rotate(x1, angles); }), 1024);
}

}  // namespace
}  // namespace lithe::ops
