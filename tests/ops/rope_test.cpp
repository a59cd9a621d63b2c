#include "ops/rope.h"

#include <ATen/TensorOperators.h>

#include <cmath>
#include <numbers>

#include "base/error.h"
#include "ops/tensor_support.h"

namespace lithe::ops {
namespace {

using test::Dice;
using test::expect_close;
using test::leaf;
using Scaling = RopeConfig::Scaling;

constexpr double kPi = std::numbers::pi;

/// The frequency of one pair by the published formulas, in float64.
double plain_frequency(const RopeConfig& c, int64_t pair, int64_t longest) {
  const double d = static_cast<double>(c.head_dim), exponent = 2.0 * static_cast<double>(pair) / d;
  const double original = static_cast<double>(c.original_positions);
  const double base = std::pow(c.theta, -exponent);
  if (c.scaling == Scaling::linear) return base / c.factor;
  if (c.scaling == Scaling::dynamic) {
    const double stretch =
        std::max(c.factor * std::max(static_cast<double>(longest), original) / original - (c.factor - 1), 1.0);
    return std::pow(c.theta * std::pow(stretch, d / (d - 2)), -exponent);
  }
  if (c.scaling == Scaling::llama3) {
    const double turns = original * base / (2 * kPi);  // in the pre-training length
    if (turns > c.high_freq_factor) return base;
    if (turns < c.low_freq_factor) return base / c.factor;
    const double smooth = (turns - c.low_freq_factor) / (c.high_freq_factor - c.low_freq_factor);
    return base * ((1 - smooth) / c.factor + smooth);
  }
  if (c.scaling == Scaling::yarn) {
    const auto pair_of = [&](double turns) {
      return d * std::log(original / (2 * kPi * turns)) / (2 * std::log(c.theta));
    };
    const double low = std::max(std::floor(pair_of(c.beta_fast)), 0.0),
                 high = std::min(std::ceil(pair_of(c.beta_slow)), d - 1);
    const double ramp = std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
    return base * (ramp / c.factor + (1 - ramp));
  }
  return base;
}

std::vector<RopeConfig> configs() {
  return {
      {.head_dim = 64},
      {.theta = 1e6, .head_dim = 128},
      {.head_dim = 32, .scaling = Scaling::linear, .factor = 4.0},
      {.head_dim = 32, .scaling = Scaling::dynamic, .factor = 2.0, .original_positions = 16},
      {.theta = 5e5, .head_dim = 64, .scaling = Scaling::llama3, .factor = 8.0, .original_positions = 8192},
      {.head_dim = 64, .scaling = Scaling::yarn, .factor = 4.0, .original_positions = 2048},
  };
}

TEST(Rope, AnglesFollowEveryScaling) {
  const std::vector<int64_t> positions{0, 1, 2, 7, 63, 200};
  for (const RopeConfig& config : configs()) {
    const RopeAngles angles = rope_angles(config, positions);
    const double amplitude = config.scaling == Scaling::yarn ? 0.1 * std::log(config.factor) + 1 : 1.0;
    ASSERT_EQ(angles.cosine.sizes(), (at::IntArrayRef{6, config.head_dim / 2}));
    for (size_t row = 0; row < positions.size(); ++row) {
      for (int64_t pair = 0; pair < config.head_dim / 2; ++pair) {
        const double angle = static_cast<double>(positions[row]) * plain_frequency(config, pair, 201);
        const auto at = [&](const Tensor& t) { return t[static_cast<int64_t>(row)][pair].item<double>(); };
        // Angles are formed in float32, as in the reference: at position 200 that is some 1e-5 of a turn.
        EXPECT_NEAR(at(angles.cosine), amplitude * std::cos(angle), 6e-5)
            << static_cast<int>(config.scaling) << " row " << row << " pair " << pair;
        EXPECT_NEAR(at(angles.sine), amplitude * std::sin(angle), 6e-5)
            << static_cast<int>(config.scaling) << " row " << row << " pair " << pair;
      }
    }
  }
}

TEST(Rope, DynamicLeavesShortSequencesAlone) {
  const RopeConfig plain{.head_dim = 32},
      dynamic{.head_dim = 32, .scaling = Scaling::dynamic, .factor = 2.0, .original_positions = 64};
  const std::vector<int64_t> positions{0, 5, 63};
  expect_close(rope_angles(dynamic, positions).cosine, rope_angles(plain, positions).cosine, 0.0, "short");
}

TEST(Rope, TakesAGivenAttentionFactor) {
  const RopeConfig config{
      .head_dim = 8, .scaling = Scaling::yarn, .factor = 4.0, .original_positions = 64, .attention_factor = 2.5};
  EXPECT_FLOAT_EQ(rope_angles(config, std::vector<int64_t>{0}).cosine[0][0].item<float>(), 2.5f);
}

/// The angles of three rows against a table: which axis turns each pair, and at which frequency.
void expect_turned_by(const RopeConfig& config, const std::vector<size_t>& axes,
                      const std::vector<double>& frequencies) {
  const Places places{{4, 4, 9}, {4, 5, 11}, {4, 7, 3}};
  const RopeAngles angles = rope_angles(config, places);
  for (size_t pair = 0; pair < axes.size(); ++pair) {
    for (size_t row = 0; row < 3; ++row) {
      const double angle = static_cast<double>(places[axes[pair]][row]) * frequencies[pair];
      const auto at = [&](const Tensor& t) {
        return t[static_cast<int64_t>(row)][static_cast<int64_t>(pair)].item<double>();
      };
      EXPECT_NEAR(at(angles.cosine), std::cos(angle), 1e-5) << "row " << row << " pair " << pair;
      EXPECT_NEAR(at(angles.sine), std::sin(angle), 1e-5) << "row " << row << " pair " << pair;
    }
  }
}

std::vector<double> ladder(double theta, int64_t head_dim) {
  std::vector<double> frequencies;
  for (int64_t pair = 0; pair < head_dim / 2; ++pair)
    frequencies.push_back(std::pow(theta, -2.0 * static_cast<double>(pair) / static_cast<double>(head_dim)));
  return frequencies;
}

TEST(Rope, SectionsGoByTheirAxis) {
  using Layout = RopeConfig::Layout;
  // Qwen2-VL: mrope_section [2, 3, 3], one block after another.
  expect_turned_by({.theta = 1e6, .head_dim = 16, .sections = {2, 3, 3}}, {0, 0, 1, 1, 1, 2, 2, 2}, ladder(1e6, 16));
  // Qwen3-VL: every third pair goes by h (from 1) and by w (from 2), as long as they have pairs left.
  expect_turned_by({.theta = 1e6, .head_dim = 16, .sections = {4, 2, 2}, .layout = Layout::interleaved},
                   {0, 1, 2, 0, 1, 2, 0, 0}, ladder(1e6, 16));
  // Qwen2-VL's tower, with a third axis: each block is a head of its own width.
  std::vector<double> own = ladder(1e4, 4);
  for (const double frequency : ladder(1e4, 6)) own.push_back(frequency);
  for (const double frequency : ladder(1e4, 6)) own.push_back(frequency);
  expect_turned_by({.head_dim = 16, .sections = {2, 3, 3}, .layout = Layout::own_ladder}, {0, 0, 1, 1, 1, 2, 2, 2},
                   own);
}

TEST(Rope, OneAxisStandsForAll) {
  const std::vector<int64_t> order{0, 1, 7, 200};
  for (const RopeConfig::Layout layout : {RopeConfig::Layout::blocks, RopeConfig::Layout::interleaved}) {
    const RopeConfig plain{.head_dim = 16}, sections{.head_dim = 16, .sections = {4, 2, 2}, .layout = layout};
    for (const RopeAngles& angles : {rope_angles(sections, order), rope_angles(sections, {order, order, order})})
      expect_close(angles.cosine, rope_angles(plain, order).cosine, 0.0, "equal places");
  }
}

TEST(Rope, RefusesSectionsThatDoNotFillTheHead) {
  const Places places(3, {0, 1});
  EXPECT_THROW(rope_angles({.head_dim = 16, .sections = {2, 3, 2}}, places), Error);
  EXPECT_THROW(rope_angles({.head_dim = 16, .sections = {9, -4, 3}}, places), Error);
  EXPECT_THROW(rope_angles({.head_dim = 16, .sections = {4, 4}}, places), Error);
}

TEST(Rope, RefusesAnOddHead) {
  EXPECT_THROW(rope_angles({.head_dim = 7}, std::vector<int64_t>{0}), Error);
  EXPECT_THROW(rope_angles({.head_dim = 0}, std::vector<int64_t>{0}), Error);
}

/// Pair (i, i + half) as a complex number, turned.
Tensor plain_rotate(const Tensor& input, const RopeAngles& angles) {
  const Tensor x = input.to(at::kDouble).clone();
  const int64_t half = x.size(2) / 2;
  const Tensor a = x.narrow(2, 0, half).clone(), b = x.narrow(2, half, half).clone();
  const Tensor c = angles.cosine.to(at::kDouble).unsqueeze(1), s = angles.sine.to(at::kDouble).unsqueeze(1);
  x.narrow(2, 0, half).copy_(a * c - b * s);
  x.narrow(2, half, half).copy_(a * s + b * c);
  return x;
}

TEST(Rotate, EqualsThePlainRotation) {
  Dice dice(1);
  for (const int64_t width : {2, 10, 64}) {
    const std::vector<int64_t> positions{3, 4, 9, 30, 31};
    const RopeAngles angles = rope_angles({.head_dim = width}, positions);
    const Tensor x = dice.normal({5, 3, width}).to(at::kFloat), expected = plain_rotate(x, angles);
    expect_close(rotate(x.clone(), angles), expected, 1e-6, "float32");
    expect_close(rotate(x.to(at::kDouble), angles), plain_rotate(x.to(at::kDouble), angles), 1e-14, "float64");
    const Tensor strided = x.transpose(0, 1).contiguous().transpose(0, 1);
    expect_close(rotate(strided, angles), expected, 1e-6, "strided");
  }
}

TEST(Rotate, PassesTheGradientBack) {
  Dice dice(2);
  const RopeAngles angles = rope_angles({.head_dim = 6}, std::vector<int64_t>{0, 4, 5});
  const Tensor values = dice.normal({3, 2, 6}).to(at::kFloat), cotangent = dice.normal({3, 2, 6}).to(at::kFloat);
  Tensor x = leaf(values);
  (rotate(x, angles) * cotangent).sum().backward();
  // A rotation's gradient is the rotation back.
  const RopeAngles back{angles.cosine, -angles.sine};
  expect_close(x.grad(), plain_rotate(cotangent, back), 1e-5, "gradient");
  EXPECT_EQ(test::largest_difference(x, values), 0.0);
}

TEST(Rotate, RowsOfAnglesAreThoseOfTheirPositions) {
  const RopeConfig config{.head_dim = 8};
  const Tensor index = at::empty({2}, at::kLong);
  index[0] = 1, index[1] = 3;
  const RopeAngles some = rope_angles(config, std::vector<int64_t>{0, 5, 6, 11}).rows(index);
  const RopeAngles direct = rope_angles(config, std::vector<int64_t>{5, 11});
  expect_close(some.cosine, direct.cosine, 0.0, "cosine");
  expect_close(some.sine, direct.sine, 0.0, "sine");
}

TEST(Rotate, RefusesOtherRows) {
  Dice dice(3);
  const RopeAngles angles = rope_angles({.head_dim = 8}, std::vector<int64_t>{0, 1});
  EXPECT_THROW(rotate(dice.normal({3, 1, 8}), angles), Error);
  EXPECT_THROW(rotate(dice.normal({2, 1, 6}), angles), Error);
}

}  // namespace
}  // namespace lithe::ops
