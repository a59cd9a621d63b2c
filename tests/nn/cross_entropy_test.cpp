#include "nn/cross_entropy.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include "allocation_meter.h"
#include "base/error.h"
#include "ops/finite_differences.h"

namespace lithe::nn {
namespace {

using test::Dice;
using test::expect_close;
using test::leaf;

TEST(CrossEntropy, HasTheGradientOfFiniteDifferences) {
  Dice dice(1);
  const Tensor x = leaf(dice.normal({4, 3})), weight = leaf(dice.normal({6, 3}));
  const Tensor targets = at::tensor({5, 0, 2, 2}, at::kLong);
  test::expect_finite_differences(
      [&](const std::vector<Tensor>& in) {
        return 0.7 * summed_cross_entropy({Weight(in[1]), std::nullopt}, in[0], targets);
      },
      {x, weight}, "loss");
}

/// 900 rows of 40,000 logits come in three parts.
TEST(CrossEntropy, EqualsLibTorchInSeveralParts) {
  constexpr int64_t kRows = 900, kVocabulary = 40000, kWidth = 8;
  const Tensor x = at::randn({kRows, kWidth}, at::kFloat), numbers = at::randn({kVocabulary, kWidth}, at::kFloat);
  const Tensor targets = at::randint(kVocabulary, {kRows}, at::kLong);
  for (const bool learns : {true, false}) {
    const Tensor stored = learns ? leaf(numbers) : numbers.to(at::kBFloat16);
    const Tensor x1 = leaf(x), x2 = leaf(x.to(at::kDouble)), wide = leaf(stored.detach().to(at::kDouble));
    const Tensor loss = summed_cross_entropy({Weight(stored), std::nullopt}, x1, targets);
    const Tensor expected = at::cross_entropy_loss(x2.matmul(wide.t()), targets, std::nullopt, at::Reduction::Sum);
    EXPECT_NEAR(loss.item<double>() / expected.item<double>(), 1, 1e-6) << learns;
    loss.backward();
    expected.backward();
    // LibTorch adds 40,000 terms less exactly than a kernel of our own.
    expect_close(x1.grad(), x2.grad(), 1e-3, concat("x, the head learns: ", learns));
    if (learns) expect_close(stored.grad(), wide.grad(), 5e-5, "weight");
  }
}

TEST(CrossEntropy, TakesBiasAndLora) {
  Dice dice(2);
  const auto numbers = [&](at::IntArrayRef shape) { return dice.normal(shape).to(at::kFloat); };
  const Tensor x = leaf(numbers({4, 3})), bias = leaf(numbers({6})), a = leaf(numbers({2, 3})),
               b = leaf(numbers({6, 2}));
  const Tensor weight = numbers({6, 3}), targets = at::tensor({5, 0, 2, 2}, at::kLong);
  const Linear head{weight, bias, LowRank{a, b, 0.5}};
  const Tensor loss = summed_cross_entropy(head, x, targets);
  const Tensor logits = x.matmul((weight + 0.5 * b.matmul(a)).t()) + bias;
  expect_close(loss, at::cross_entropy_loss(logits, targets, std::nullopt, at::Reduction::Sum), 1e-5, "loss");
  loss.backward();
  for (const Tensor& leaf : {x, bias, a, b}) EXPECT_GT(leaf.grad().abs().max().item<double>(), 0);
}

TEST(CrossEntropy, KeepsNoLogits) {
  constexpr int64_t kRows = 900, kVocabulary = 40000, kWidth = 8;
  const Linear head{at::randn({kVocabulary, kWidth}, at::kFloat).to(at::kBFloat16), std::nullopt};
  const Tensor x = leaf(at::randn({kRows, kWidth}, at::kFloat)), targets = at::randint(kVocabulary, {kRows}, at::kLong);
  const auto meter = std::make_shared<test::AllocationMeter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
  const Tensor loss = summed_cross_entropy(head, x, targets);
  EXPECT_LT(meter->now(), int64_t{64} << 10);
  loss.backward();
  EXPECT_LT(meter->peak(), int64_t{200} << 20);  // all logits and their softmax are 288 MB
}

}  // namespace
}  // namespace lithe::nn
