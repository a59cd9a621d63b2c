#include "nn/linear.h"

#include <gtest/gtest.h>

#include "nn/adapters/fold.h"
#include "nn/lora.h"
#include "ops/tensor_support.h"

namespace lithe::nn {
namespace {

using test::Dice;
using test::expect_close;

struct Drawn {
  explicit Drawn(uint64_t seed) : dice(seed) {}
  Dice dice;
  Tensor x = dice.normal({5, 6}), weight = dice.normal({8, 6}), bias = dice.normal({8}), a = dice.normal({2, 6}),
         b = dice.normal({8, 2});
  double scale = 1.5;

  /// y = x W^T + c + s x A^T B^T, written down.
  Tensor plain() const { return x.matmul(weight.t()) + bias + scale * x.matmul(a.t()).matmul(b.t()); }
  Linear linear() const { return {weight, bias, LowRank{a, b, scale}}; }
};

TEST(Linear, AddsItsLowRankTerm) {
  const Drawn drawn(1);
  expect_close(drawn.linear()(drawn.x), drawn.plain(), 1e-12, "with a low-rank term");
  Linear without = drawn.linear();
  without.low_rank.reset();
  expect_close(without(drawn.x), drawn.x.matmul(drawn.weight.t()) + drawn.bias, 1e-12, "without");
}

// As on a GPU over a weight of 16 bits: factors that learn are not rounded to the rows.
TEST(Linear, KeepsFloat32FactorsOverRowsOf16Bits) {
  const Drawn drawn(7);
  const Tensor x = drawn.x.to(at::kBFloat16), a = drawn.a.to(at::kFloat), b = drawn.b.to(at::kFloat);
  const Tensor y = at::zeros({5, 8}, at::kFloat);
  const Tensor expected = 1.5 * x.to(at::kDouble).matmul(a.t().to(at::kDouble)).matmul(b.t().to(at::kDouble));
  expect_close(LowRank{a, b, 1.5}.added_to(y, x, {}), expected.to(at::kFloat), 1e-5, "the term");
}

TEST(Linear, AddsTheLoraOfSomeRows) {
  const Drawn drawn(5), other(6);
  const Linear linear{drawn.weight, drawn.bias}, without_term{drawn.weight, drawn.bias};
  Lora first, second;
  first.put(linear, LowRank{drawn.a, drawn.b, drawn.scale});
  second.put(linear, LowRank{other.a, other.b, 0.25});
  const std::vector<LoraRows> rows{{&first, 0, 2}, {&second, 3, 4}};
  const Tensor y = linear(drawn.x, {{}, rows}), base = drawn.x.matmul(drawn.weight.t()) + drawn.bias;
  expect_close(y.narrow(0, 0, 2), drawn.plain().narrow(0, 0, 2), 1e-12, "under the first");
  expect_close(y.narrow(0, 2, 1), base.narrow(0, 2, 1), 0, "under none");
  const Tensor x = drawn.x.narrow(0, 3, 1);
  expect_close(y.narrow(0, 3, 1), base.narrow(0, 3, 1) + 0.25 * x.matmul(other.a.t()).matmul(other.b.t()), 1e-12,
               "under the second");
  expect_close(y.narrow(0, 4, 1), base.narrow(0, 4, 1), 0, "after them");
  expect_close(without_term(drawn.x, {{}, rows}), base, 0, "a product that they do not change");
}

/// In place as it is, the addition leaves every gradient as written down.
TEST(Linear, GradientsReachTheFactors) {
  Drawn drawn(2);
  const std::vector<Tensor> leaves{drawn.x, drawn.weight, drawn.bias, drawn.a, drawn.b};
  for (const Tensor& leaf : leaves) leaf.set_requires_grad(true);
  const Tensor seen = drawn.dice.normal({5, 8});
  std::vector<Tensor> expected;
  (drawn.plain() * seen).sum().backward();
  for (const Tensor& leaf : leaves) {
    expected.push_back(leaf.grad().clone());
    leaf.mutable_grad().zero_();
  }
  (drawn.linear()(drawn.x) * seen).sum().backward();
  for (size_t i = 0; i < leaves.size(); ++i) expect_close(leaves[i].grad(), expected[i], 1e-12, "gradient");
}

/// W R and W r of what the Linear is with its LoRA.
TEST(Linear, FoldsItsLowRankTermToo) {
  Drawn drawn(3);
  const Linear linear = drawn.linear();
  const Tensor whole = drawn.weight + drawn.scale * drawn.b.matmul(drawn.a), gain = drawn.dice.normal({6});
  expect_close(whole_weight(linear), whole, 1e-12, "W + s B A");
  expect_close(folded(linear, gain).weight.widened(at::kDouble), whole * gain, 1e-12, "after a gain");
  const AdapterMap map{gain, drawn.dice.normal({6, 3}), drawn.dice.normal({3, 6}), drawn.dice.normal({6})};
  const Linear both = folded(linear, map);
  expect_close(both.weight.widened(at::kDouble), whole.matmul(map.matrix()), 1e-12, "after an adapter");
  expect_close(*both.bias, whole.matmul(map.offset) + drawn.bias, 1e-12, "its bias");
}

}  // namespace
}  // namespace lithe::nn
