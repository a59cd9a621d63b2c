#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>

#include "base/error.h"
#include "routing/twin.h"

// Layers without attention: a PIA in its place, or one that was folded into the feed-forward network.
namespace lithe::routing {
namespace {

std::vector<Prompt> prompts(Dice& dice, const plan::Plan& plan) {
  std::vector<Prompt> result{random_prompt(dice, kFourLayers, kinds_of(2, 7, 4)),
                             random_prompt(dice, kFourLayers, kinds_of(4, 0, 2), true)};
  for (Prompt& prompt : result) prompt.plan = plan;
  return result;
}

void check(const std::vector<Block>& blocks, std::vector<Prompt> all, const std::string& what) {
  expect_equals_twin(blocks, kFourLayers, all, what);
  for (Prompt& prompt : all) {
    prompt.prompt_rows -= 2;
    expect_served_equals_twin(blocks, kFourLayers, prompt, what);
  }
}

plan::Plan off(const std::vector<int64_t>& layers) {
  std::vector<plan::LayerPlan> entries;
  for (const int64_t layer : layers) entries.push_back({.layer = layer, .self_attention = false});
  return plan_of(std::move(entries));
}

TEST(Eas, APiaStandsForTheAttention) {
  for (const bool gated : {false, true}) {
    Dice dice(31);
    std::vector<Block> blocks = random_blocks(dice, kFourLayers);
    for (const size_t layer : {0, 2}) replace_attention(dice, blocks[layer], gated);
    check(blocks, prompts(dice, off({0, 2})), gated ? "gated PIA" : "PIA");
  }
}

TEST(Eas, BothMethodsAtOnce) {
  Dice dice(32);
  std::vector<Block> blocks = random_blocks(dice, kFourLayers);
  for (const size_t layer : {1, 3}) replace_attention(dice, blocks[layer], true);
  plan::Rule routed = rule(0.5, "router", kNothing);
  routed.gate = kTanhNorm;
  plan::Plan plan = off({1, 3});
  for (plan::LayerPlan& entry : plan.layers) entry.rules = {routed};
  plan.layers.insert(plan.layers.begin() + 1, plan::LayerPlan{.layer = 2, .rules = {routed}});
  check(blocks, prompts(dice, plan), "p-MoD and EAS");
}

TEST(Eas, ALayerWithoutAttentionHoldsNoRows) {
  Dice dice(33);
  std::vector<Block> blocks = random_blocks(dice, kFourLayers);
  replace_attention(dice, blocks[1], false);
  const Prompt prompt = prompts(dice, {}).front();  // dense: the plan does not turn layer 1's attention off
  const Served served = serve(blocks, kFourLayers, prompt);
  EXPECT_EQ(served.states[1].length(), 0);
  EXPECT_EQ(served.states[1].bytes(), 0);
  EXPECT_EQ(served.states[2].length(), prompt.rows());
}

/// Alone in its batch, the site has no rows to run; with other sequences it has. What is frozen for later rows must not
/// depend on that.
TEST(Eas, APromptThatTheLayerDoesNotRunFreezesTheMeanOfNoRows) {
  Dice dice(36);
  std::vector<Block> blocks = random_blocks(dice, kFourLayers);
  replace_attention(dice, blocks[1], true);
  blocks[2].sites[0].adapter = random_rep_adapter(dice, kFourLayers.hidden, 4, true);
  plan::Rule idle = rule(0, "uniform", kNothing), feeds = rule(0, "uniform", {false, false, false, true});
  idle.group = feeds.group = plan::Group::all;
  plan::Plan plan = off({1});
  plan.layers[0].rules = {idle};
  plan.layers.push_back({.layer = 2, .rules = {feeds}});
  std::vector<Prompt> all;
  for (const plan::Plan& own : {plan, off({1})}) {
    all.push_back(prompts(dice, own).front());
    all.back().prompt_rows -= 2;
    expect_served_equals_twin(blocks, kFourLayers, all.back(), "alone");
  }
  for (int times = 0; times < 4; ++times)
    expect_served_together_equals_twin(blocks, kFourLayers, all, dice, "together");
}

TEST(Eas, ThePlanOfEachRequestPicksAttentionOrStandIn) {
  for (const bool gated : {false, true}) {
    Dice dice(37);
    std::vector<Block> both = random_blocks(dice, kFourLayers), plain = both, replaced = both;
    for (const size_t layer : {0, 2}) {
      add_stand_in(dice, both[layer], gated);
      replaced[layer] = without_attention(both[layer]);
    }
    std::vector<Prompt> all = prompts(dice, off({0, 2}));
    all.push_back(random_prompt(dice, kFourLayers, kinds_of(1, 5, 3)));
    all.push_back(random_prompt(dice, kFourLayers, kinds_of(2, 3, 2)));
    all[3].plan = off({0, 2});
    check(both, all, "some on, some off");

    const at::NoGradGuard no_gradient;
    const Outcome together = run_all(both, kFourLayers, all);
    for (size_t i = 0; i < all.size(); ++i) {
      const Tensor alone = run_all(i == 2 ? plain : replaced, kFourLayers, {all[i]}).hidden;
      const int64_t first = together.batch.offsets[i];
      test::expect_close(together.hidden.narrow(0, first, alone.size(0)), alone, 1e-12, concat("request ", i));
    }
  }
}

TEST(Eas, AStandInThatIsFoldedIsANormAlone) {
  Dice dice(38);
  std::vector<Block> both = random_blocks(dice, kFourLayers);
  both[1].sites[1].stand_in = StandIn{both[1].sites[0].norm, std::nullopt};
  std::vector<Block> folded = both;
  folded[1] = without_attention(both[1]);
  const std::vector<Prompt> all = prompts(dice, off({1}));
  check(both, all, "folded stand-in");
  test::expect_close(run_all(both, kFourLayers, all).hidden, run_all(folded, kFourLayers, all).hidden, 1e-12, "folded");
}

TEST(Eas, OnlyAStandInThatRunsReadsTheWholePrompt) {
  Dice dice(39);
  std::vector<Block> blocks = random_blocks(dice, kFourLayers);
  add_stand_in(dice, blocks[1], false);
  EXPECT_FALSE(read_whole_prompt(blocks, {}, "decoder"));
  EXPECT_FALSE(read_whole_prompt(blocks, off({0, 2}), "decoder"));
  EXPECT_TRUE(read_whole_prompt(blocks, off({1}), "decoder"));
  blocks[1].sites[1].stand_in->pia.reset();
  EXPECT_FALSE(read_whole_prompt(blocks, off({1}), "decoder"));
}

/// Folds an ungated PIA with this token mean: W' = W R, b' = W r with R = diag(g) (I + M C / 2), r = g (M (c + mu) / 2
/// + c0).
nn::Linear folded(const nn::Linear& linear, const nn::Pia& pia, const Tensor& mean) {
  const Tensor m = pia.up.scale * written_out(pia.up.b_weight), c0 = pia.up.scale * *pia.up.b_bias;
  const Tensor matrix =
      pia.gain->unsqueeze(1) * (at::eye(m.size(0), m.options()) + 0.5 * m.matmul(pia.own.weight.widened(at::kDouble)));
  const Tensor offset = *pia.gain * (0.5 * m.matmul(*pia.own.bias + mean) + c0);
  const Tensor weight = linear.weight.widened(at::kDouble);
  return {weight.matmul(matrix), weight.matmul(offset)};
}

TEST(Eas, TheFoldedBranchTakesTheFirstNorm) {
  Dice dice(34);
  std::vector<Block> blocks = random_blocks(dice, kFourLayers);
  replace_attention(dice, blocks[1], false);
  Prompt prompt = prompts(dice, off({1})).front();
  prompt.prompt_rows -= 2;
  const Served unfolded = serve(blocks, kFourLayers, prompt);

  // The fold knows the mean that the prompt froze. What is left is a site with norm1 and other weights: no code of its
  // own.
  std::vector<Block> merged = blocks;
  Site& site = merged[1].sites[0];
  const auto& mlp = std::get<nn::Mlp>(blocks[1].sites[0].branch);
  const Tensor mean = *unfolded.states[1].pia_mean;
  site.branch = nn::Mlp{folded(*mlp.gate, *site.pia, mean), folded(mlp.up, *site.pia, mean), mlp.down, mlp.activation};
  site.pia.reset();
  const Served served = serve(merged, kFourLayers, prompt);
  test::expect_close(served.prompt_hidden, unfolded.prompt_hidden, 1e-9, "prompt");
  test::expect_close(served.decoded_hidden, unfolded.decoded_hidden, 1e-9, "decoded, with the frozen mean");
}

TEST(Eas, AdaptersStandBeforeTheBranch) {
  // x + attention(norm(x) + adapter): folding it into q, k and v gives the same, W' = W (I + M A), b' = W (M a + c0).
  Dice dice(35);
  std::vector<Block> blocks = random_blocks(dice, kFourLayers);
  Site& site = blocks[2].sites[0];
  site.adapter = random_rep_adapter(dice, kFourLayers.hidden, 4);
  std::vector<Block> merged = blocks;
  auto& attention = std::get<nn::Attention>(merged[2].sites[0].branch);
  const Tensor m = site.adapter->up.scale * written_out(site.adapter->up.b_weight),
               c0 = site.adapter->up.scale * *site.adapter->up.b_bias;
  for (nn::Linear* linear : {&attention.query, &attention.key, &attention.value}) {
    const Tensor weight = linear->weight.widened(at::kDouble), a = site.adapter->down.weight.widened(at::kDouble);
    linear->bias = weight.matmul(m.matmul(*site.adapter->down.bias) + c0);
    linear->weight = weight.matmul(at::eye(kFourLayers.hidden, at::kDouble) + m.matmul(a));
  }
  merged[2].sites[0].adapter.reset();
  const std::vector<Prompt> all = prompts(dice, {});
  test::expect_close(run_all(blocks, kFourLayers, all).hidden, run_all(merged, kFourLayers, all).hidden, 1e-9,
                     "folded adapter");
}

}  // namespace
}  // namespace lithe::routing
