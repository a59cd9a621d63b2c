#include "routing/router_logits.h"

#include <ATen/ops/tensor.h>

#include "ops/finite_differences.h"

namespace lithe::routing {
namespace {

using test::Dice;
using test::leaf;

TEST(RouterLogits, HaveTheGradientOfFiniteDifferences) {
  Dice dice(1);
  const Tensor index = at::tensor({5, 0, 3}, at::kLong), cotangent = dice.normal({3});
  const auto slope = [&](const std::vector<Tensor>& in) {
    const nn::Router router{in[1], in.size() > 2 ? std::optional(in[2]) : std::nullopt};
    return (router_logits(router, in[0], index) * cotangent).sum();
  };
  test::expect_finite_differences(slope, {leaf(dice.normal({6, 4})), leaf(dice.normal({1, 4})), leaf(dice.normal({1}))},
                                  "with a bias");
  test::expect_finite_differences(slope, {leaf(dice.normal({6, 4})), leaf(dice.normal({1, 4}))}, "without");
}

// With a learning bias and without one; only what learns gets a gradient.
TEST(RouterLogits, PassGradientsThroughAFrozenWeight) {
  Dice dice(2);
  const Tensor index = at::tensor({5, 0, 3}, at::kLong), cotangent = dice.normal({3}), weight = dice.normal({1, 4});
  const auto slope = [&](const std::vector<Tensor>& in) {
    const nn::Router router{weight, in.size() > 1 ? std::optional(in[1]) : std::nullopt};
    return (router_logits(router, in[0], index) * cotangent).sum();
  };
  test::expect_finite_differences(slope, {leaf(dice.normal({6, 4})), leaf(dice.normal({1}))}, "with a bias");
  test::expect_finite_differences(slope, {leaf(dice.normal({6, 4}))}, "without");
}

}  // namespace
}  // namespace lithe::routing
