#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>

#include <cmath>

#include "nn/attention.h"
#include "nn/mlp.h"
#include "nn/norm.h"
#include "nn/router.h"
#include "ops/tensor_support.h"

namespace lithe::nn {
namespace {

using test::Dice;
using test::expect_close;

Tensor plain(const Linear& linear, const Tensor& x) {
  const Tensor y = x.matmul(linear.weight.widened(at::kDouble).t());
  return linear.bias ? y + linear.bias->to(at::kDouble) : y;
}

TEST(Mlp, RunsWithAndWithoutAGate) {
  Dice dice(1);
  const Tensor x = dice.normal({5, 6});
  const Linear gate{dice.normal({8, 6}), std::nullopt}, up{dice.normal({8, 6}), dice.normal({8})},
      down{dice.normal({6, 8}), dice.normal({6})};
  const Tensor g = plain(gate, x), u = plain(up, x);
  expect_close(Mlp{gate, up, down, ops::Activation::silu}(x), plain(down, g * at::sigmoid(g) * u), 1e-12, "gated silu");
  expect_close(Mlp{gate, up, down, ops::Activation::relu}(x), plain(down, at::relu(g) * u), 1e-12, "gated relu");
  expect_close(Mlp{std::nullopt, up, down, ops::Activation::quick_gelu}(x), plain(down, u * at::sigmoid(1.702 * u)),
               1e-12, "without a gate");
}

TEST(Router, ReadsRowsInFloat32) {
  Dice dice(2);
  const Tensor x = dice.normal({7, 6}), weight = dice.normal({1, 6}), bias = dice.normal({1});
  const Router router{weight.to(at::kBFloat16), bias.to(at::kBFloat16)};
  const Tensor z = router(x.to(at::kBFloat16));
  EXPECT_EQ(z.scalar_type(), at::kFloat);
  const Tensor expected =
      x.to(at::kBFloat16).to(at::kDouble).matmul(weight.to(at::kBFloat16).to(at::kDouble).t()).squeeze(-1) +
      bias.to(at::kBFloat16).to(at::kDouble);
  expect_close(z, expected, 1e-5, "bfloat16 rows");
  EXPECT_EQ((Router{weight, std::nullopt}(x).scalar_type()), at::kDouble);
  expect_close(Router{weight, std::nullopt}(x), x.matmul(weight.t()).squeeze(-1), 1e-12, "float64 rows");
}

TEST(Attention, CutsRowsIntoHeads) {
  Dice dice(3);
  Attention attention{.query = {dice.normal({12, 6}), std::nullopt},
                      .key = {dice.normal({6, 6}), std::nullopt},
                      .value = {dice.normal({6, 6}), dice.normal({6})},
                      .output = {dice.normal({6, 12}), std::nullopt}};
  attention.heads = 4;
  attention.kv_heads = 2;
  attention.head_dim = 3;
  const Tensor x = dice.normal({5, 6});
  EXPECT_DOUBLE_EQ(attention.scale(), 1 / std::sqrt(3.0));
  expect_close(attention.queries(x).select(1, 3), plain(attention.query, x).narrow(1, 9, 3), 1e-12, "last head");
  expect_close(attention.keys(x).select(1, 1), plain(attention.key, x).narrow(1, 3, 3), 1e-12, "last key head");
  expect_close(attention.merge(attention.queries(x)), plain(attention.output, plain(attention.query, x)), 1e-12,
               "merge");
  EXPECT_EQ(attention.values(x.narrow(0, 0, 0)).sizes(), (at::IntArrayRef{0, 2, 3}));
}

TEST(Norm, IsOfEitherKind) {
  Dice dice(4);
  const Tensor x = dice.normal({3, 6}), gain = dice.normal({6}), bias = dice.normal({6});
  expect_close((Norm{Norm::Kind::rms, gain, std::nullopt, 1e-6}(x)), ops::rms_norm(x, gain, 1e-6), 0.0, "rms");
  expect_close((Norm{Norm::Kind::layer, gain, bias, 1e-6}(x)), ops::layer_norm(x, gain, bias, 1e-6), 0.0, "layer");
}

}  // namespace
}  // namespace lithe::nn
