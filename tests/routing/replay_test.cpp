#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "base/error.h"
#include "base/mixed.h"
#include "routing/random_case.h"

// A block runs again with the row sets it had, as activation checkpointing does: no plan, no choice of rows.
namespace lithe::routing {
namespace {

using test::expect_close;
using test::leaf;

/// One layer of a pass: what went in, which rows ran what, what came out.
struct Passed {
  Tensor x, y;
  Batch batch;
  RowSets sets;
};

/// `drops`: with what dropout draws from.
std::vector<Passed> passed_layers(const std::vector<Block>& blocks, const TinyShape& shape,
                                  const std::vector<Prompt>& prompts, bool drops = false) {
  std::vector<std::vector<nn::LayerState>> no_states;
  std::vector<Tensor> inputs;
  for (const Prompt& prompt : prompts) inputs.push_back(prompt.x);
  std::vector<Passed> layers;
  Batch batch = batch_of(prompts, shape, 0, INT64_MAX, no_states, true);
  for (int64_t row = 0; drops && row < batch.rows(); ++row) batch.draws.push_back(mixed(3, static_cast<uint64_t>(row)));
  Executor executor(std::move(batch), "decoder", static_cast<int64_t>(blocks.size()));
  executor.observe([&](const LayerReport& report) {
    layers.back().batch = *report.batch;
    layers.back().sets = *report.rows;
  });
  Tensor x = at::cat(inputs);
  for (size_t layer = 0; layer < blocks.size(); ++layer) {
    layers.push_back({.x = x});
    x = layers.back().y = executor.run(blocks[layer], static_cast<int64_t>(layer), x);
  }
  return layers;
}

Tensor again(const Block& block, const Passed& passed, int64_t layer, const RowSets& sets, const Tensor& x) {
  return run_block(block, sets, x, {passed.batch, layer, std::nullopt});
}

struct Case {
  TinyShape shape;
  std::vector<Block> blocks;
  std::vector<Prompt> prompts;
};

Case random_training(uint64_t seed, bool adapters) {
  Dice dice(seed);
  Case one{.shape = random_shape(dice)};
  one.blocks = random_blocks(dice, one.shape);
  for (int64_t i = dice.below(3); i >= 0; --i) one.prompts.push_back(random_case(dice, one.shape, dice.coin()));
  if (adapters) draw_adapters(dice, one.shape, one.blocks, one.prompts);
  return one;
}

void expect_same_bits(const Case& one, const std::string& what) {
  const std::vector<Passed> layers = passed_layers(one.blocks, one.shape, one.prompts);
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    const Passed& passed = layers[layer];
    const Tensor y = again(one.blocks[layer], passed, static_cast<int64_t>(layer), passed.sets, passed.x);
    EXPECT_TRUE(at::equal(y, passed.y)) << what << ", layer " << layer;
  }
}

TEST(Replay, EveryLayerGivesTheSameBits) {
  const at::NoGradGuard no_gradient;
  for (uint64_t trial = 0; trial < 200 && !HasFailure(); ++trial)
    expect_same_bits(random_training(20000 + trial, true), concat("trial ", trial));
}

TEST(Replay, EveryLayerGivesTheSameBitsThroughOurOwnKernels) {
  const at::NoGradGuard no_gradient;
  for (uint64_t trial = 0; trial < 100 && !HasFailure(); ++trial) {
    Case one = random_training(21000 + trial, false);
    visit(one.blocks, [](Tensor& t) { t = t.to(at::kFloat); });
    for (Prompt& prompt : one.prompts) prompt.x = prompt.x.to(at::kFloat);
    expect_same_bits(one, concat("trial ", trial));
  }
}

/// Dropout before every product, and within every adapter.
void drop(Case& one) {
  Dice dice(4);
  uint64_t place = 0;
  const auto lora = [&](nn::Linear& linear) {
    linear.low_rank = nn::LowRank{dice.normal({2, linear.in()}), dice.normal({linear.out(), 2}), 0.5, {0.4, ++place}};
  };
  for (Block& block : one.blocks) {
    for (Site& site : block.sites) {
      if (site.adapter) site.adapter->dropout = {0.4, ++place};
      if (site.pia) site.pia->dropout = {0.4, ++place};
      if (site.stand_in && site.stand_in->pia) site.stand_in->pia->dropout = {0.4, ++place};
      if (auto* attention = std::get_if<nn::Attention>(&site.branch))
        for (nn::Linear* linear : {&attention->query, &attention->key, &attention->value, &attention->output})
          lora(*linear);
      if (auto* mlp = std::get_if<nn::Mlp>(&site.branch)) {
        if (mlp->gate) lora(*mlp->gate);
        lora(mlp->up);
        lora(mlp->down);
      }
    }
  }
}

/// A row has the same draw in every layer, whichever rows are with it.
TEST(Replay, DropoutLeavesOutTheSameAgain) {
  const at::NoGradGuard no_gradient;
  int64_t dropped = 0;
  for (uint64_t trial = 0; trial < 100 && !HasFailure(); ++trial) {
    Case one = random_training(23000 + trial, true);
    drop(one);
    const std::vector<Passed> layers = passed_layers(one.blocks, one.shape, one.prompts, true);
    const std::vector<Passed> without = passed_layers(one.blocks, one.shape, one.prompts);
    for (size_t layer = 0; layer < layers.size(); ++layer) {
      const Passed& passed = layers[layer];
      const Tensor y = again(one.blocks[layer], passed, static_cast<int64_t>(layer), passed.sets, passed.x);
      EXPECT_TRUE(at::equal(y, passed.y)) << trial << ", layer " << layer;
    }
    dropped += layers.back().y.sizes() != without.back().y.sizes() || !at::equal(layers.back().y, without.back().y);
  }
  EXPECT_GT(dropped, 90);
}

/// The gradients of x and of every weight; forgets them.
std::vector<Tensor> take_gradients(std::vector<Block>& blocks) {
  std::vector<Tensor> gradients;
  visit(blocks, [&](Tensor& t) {
    gradients.push_back(t.grad().defined() ? t.grad().clone() : at::zeros(t.sizes(), at::kDouble));
    t.mutable_grad().reset();
  });
  return gradients;
}

TEST(Replay, CheckpointedGradientsEqualThoseOfTheDirectRun) {
  for (uint64_t trial = 0; trial < 200 && !HasFailure(); ++trial) {
    Case one = random_training(22000 + trial, true);
    visit(one.blocks, [](Tensor& t) { t = leaf(t); });
    std::vector<Tensor> inputs;
    for (Prompt& prompt : one.prompts) inputs.push_back(prompt.x = leaf(prompt.x));
    const Tensor y = passed_layers(one.blocks, one.shape, one.prompts).back().y;
    const Tensor cotangent = Dice(7).normal(y.sizes());
    (y * cotangent).sum().backward();
    std::vector<Tensor> wanted = take_gradients(one.blocks), of_inputs;
    for (const Tensor& x : inputs) of_inputs.push_back(x.grad());
    wanted.push_back(at::cat(of_inputs));

    std::vector<Passed> kept;  // a forward pass that keeps the inputs of layers and no graph
    {
      const at::NoGradGuard no_gradient;
      kept = passed_layers(one.blocks, one.shape, one.prompts);
    }
    Tensor gradient = cotangent;
    for (size_t layer = kept.size(); layer-- > 0;) {
      const Tensor x = leaf(kept[layer].x);
      RowSets sets = kept[layer].sets;
      weigh_again(one.blocks[layer], x, sets);
      const Tensor out = again(one.blocks[layer], kept[layer], static_cast<int64_t>(layer), sets, x);
      if (out.requires_grad()) (out * gradient).sum().backward();
      gradient = x.grad().defined() ? x.grad() : at::zeros(x.sizes(), at::kDouble);
    }
    std::vector<Tensor> actual = take_gradients(one.blocks);
    actual.push_back(gradient);
    for (size_t i = 0; i < wanted.size(); ++i)
      expect_close(actual[i], wanted[i], 1e-9, concat("trial ", trial, ", gradient ", i));
  }
}

/// A number that a training pass gives.
Tensor loss_of(const Case& one, const std::vector<Tensor>& inputs, bool recompute) {
  std::vector<std::vector<nn::LayerState>> no_states;
  Executor executor(batch_of(one.prompts, one.shape, 0, INT64_MAX, no_states, true), "decoder",
                    static_cast<int64_t>(one.blocks.size()));
  executor.recompute(recompute);
  Tensor x = at::cat(inputs);
  for (size_t layer = 0; layer < one.blocks.size(); ++layer)
    x = executor.run(one.blocks[layer], static_cast<int64_t>(layer), x);
  return (x * Dice(7).normal(x.sizes())).sum();
}

std::vector<Tensor> inputs_of(const Case& one) {
  std::vector<Tensor> inputs;
  for (const Prompt& prompt : one.prompts) inputs.push_back(leaf(prompt.x));
  return inputs;
}

/// The gradients of every weight and input of a training pass.
std::vector<Tensor> gradients_of(Case& one, bool recompute) {
  const std::vector<Tensor> inputs = inputs_of(one);
  loss_of(one, inputs, recompute).backward();
  std::vector<Tensor> gradients = take_gradients(one.blocks);
  for (const Tensor& input : inputs) gradients.push_back(input.grad());
  return gradients;
}

TEST(Replay, AnExecutorThatRecomputesGivesTheSameGradients) {
  for (uint64_t trial = 0; trial < 200 && !HasFailure(); ++trial) {
    Case one = random_training(23000 + trial, true);
    visit(one.blocks, [](Tensor& t) { t = leaf(t); });
    const std::vector<Tensor> wanted = gradients_of(one, false), actual = gradients_of(one, true);
    for (size_t i = 0; i < wanted.size(); ++i)
      expect_close(actual[i], wanted[i], 1e-9, concat("trial ", trial, ", gradient ", i));
  }
}

bool asks_a_router(const Case& one) {
  for (const Prompt& prompt : one.prompts)
    for (const plan::LayerPlan& layer : prompt.plan.layers)
      for (const plan::Rule& rule : layer.rules)
        if (rule.by == "router") return true;
  return false;
}

/// In float64, along a random direction through all weights and inputs. Cases with routers are left out: these compute
/// in float32, which is too coarse for differences; the test above compares their gradients.
TEST(Replay, RecomputedGradientsAreThoseOfFiniteDifferences) {
  constexpr double kStep = 1e-5, kAllowed = 1e-6;  // the latter relative to the length of the gradient
  int64_t compared = 0;
  for (uint64_t trial = 0; trial < 100 && !HasFailure(); ++trial) {
    Case one = random_training(25000 + trial, true);
    if (asks_a_router(one)) continue;
    std::vector<Tensor> places = inputs_of(one), directions;
    const std::vector<Tensor> inputs = places;
    visit(one.blocks, [&](Tensor& t) { places.push_back(t = leaf(t)); });
    loss_of(one, inputs, true).backward();
    Dice dice(trial);
    double slope = 0, square = 0;
    for (const Tensor& place : places) {
      directions.push_back(dice.normal(place.sizes()));
      if (!place.grad().defined()) continue;  // nothing runs it
      slope += (place.grad() * directions.back()).sum().item<double>();
      square += place.grad().square().sum().item<double>();
    }
    const at::NoGradGuard no_gradient;
    const auto moved = [&](double step) {
      for (size_t i = 0; i < places.size(); ++i) places[i].add_(directions[i], step);
      return loss_of(one, inputs, true).item<double>();
    };
    const double above = moved(kStep), below = moved(-2 * kStep);
    EXPECT_NEAR(slope, (above - below) / (2 * kStep), kAllowed * std::sqrt(square)) << "trial " << trial;
    ++compared;
  }
  EXPECT_GE(compared, 10);
}

TEST(Replay, WeightsLearnAlsoIfTheInputDoesNot) {
  Case one = random_training(24000, false);
  visit(one.blocks, [](Tensor& t) { t = leaf(t); });
  std::vector<std::vector<nn::LayerState>> no_states;
  std::vector<Tensor> inputs;
  for (const Prompt& prompt : one.prompts) inputs.push_back(prompt.x);
  Executor executor(batch_of(one.prompts, one.shape, 0, INT64_MAX, no_states, true), "decoder",
                    static_cast<int64_t>(one.blocks.size()));
  executor.recompute(true);
  executor.run(one.blocks[0], 0, at::cat(inputs)).sum().backward();
  double largest = 0;
  for (const Tensor& gradient : take_gradients(one.blocks))
    largest = std::max(largest, gradient.abs().max().item<double>());
  EXPECT_GT(largest, 0);
}

}  // namespace
}  // namespace lithe::routing
