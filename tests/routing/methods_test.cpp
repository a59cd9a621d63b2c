#include "base/error.h"
#include "plan/rows.h"
#include "routing/twin.h"

// Every published rule as a plan over the one executor, against the masked twin: values, gradients, caches, decode.
namespace lithe::routing {
namespace {

using plan::LayerPlan;
using plan::Plan;
using plan::Rule;
using plan::Switches;

Rule gated(double share, plan::Gate gate = kTanhNorm) {
  Rule r = rule(share, "router", kNothing);
  r.gate = gate;
  return r;
}

Plan p_mod() {
  return plan_of(
      {{.layer = 1, .rules = {gated(0.8)}}, {.layer = 2, .rules = {gated(0.5)}}, {.layer = 3, .rules = {gated(0.15)}}});
}

/// One rule in every layer from `first`.
Plan everywhere(const Rule& r, int64_t first = 0) {
  std::vector<LayerPlan> layers;
  for (int64_t layer = first; layer < kFourLayers.layers; ++layer) layers.push_back({.layer = layer, .rules = {r}});
  return plan_of(layers);
}

/// A prompt with tiles, one of text only, one of another length, with gaps in the positions, all under `plan`.
std::vector<Prompt> three_prompts(Dice& dice, const Plan& plan) {
  std::vector<Prompt> result{random_prompt(dice, kFourLayers, kinds_of(2, 9, 4, 5)),
                             random_prompt(dice, kFourLayers, kinds_of(3, 0, 2)),
                             random_prompt(dice, kFourLayers, kinds_of(0, 6, 3), true)};
  for (Prompt& prompt : result) prompt.plan = plan;
  return result;
}

void check(const Plan& plan, const std::string& what) {
  Dice dice(21);
  const std::vector<Block> blocks = random_blocks(dice, kFourLayers);
  std::vector<Prompt> all = three_prompts(dice, plan);
  expect_equals_twin(blocks, kFourLayers, all, what);
  for (Prompt& prompt : all) {
    prompt.prompt_rows -= 2;  // the last two rows, both text, come one by one
    expect_served_equals_twin(blocks, kFourLayers, prompt, what);
  }
}

TEST(Methods, Dense) {
  check({}, "dense");
}

TEST(Methods, MixtureOfDepths) {
  check(p_mod(), "p-MoD");
}

TEST(Methods, OtherWeightNorms) {
  check(everywhere(gated(0.5, {plan::WeightNorm::softmax, 2.0, 0.5}), 1), "softmax");
  check(everywhere(gated(0.5, {plan::WeightNorm::sigmoid, 1.0, 0.0}), 1), "sigmoid");
  check(everywhere(gated(0.5, {plan::WeightNorm::identity, 0.5, 1.0}), 1), "identity");
}

TEST(Methods, MixtureOfDepthsOfHighResolutionRowsAndOfAllRows) {
  Rule tiles = gated(0.4), all = gated(0.6);
  tiles.group = plan::Group::vision_high_res;
  all.group = plan::Group::all;
  check(everywhere(tiles, 2), "tiles");
  // Text is routed too, so what is decoded would have to be prompt: no decode here.
  Dice dice(22);
  expect_equals_twin(random_blocks(dice, kFourLayers), kFourLayers, three_prompts(dice, everywhere(all, 1)),
                     "all rows");
}

TEST(Methods, RouterWithoutGateAndGateOverAnotherSelector) {
  check(everywhere(rule(0.5, "router", kNothing), 1), "router only");
  Rule r = rule(0.5, "uniform", kNothing);
  r.gate = kTanhNorm;
  check(everywhere(r, 1), "gate over uniform");
}

TEST(Methods, KeepingNothingOrEverything) {
  check(everywhere(gated(0.0), 1), "nothing");
  check(everywhere(gated(1.0), 1), "everything");
  check(everywhere(rule(1.0, "uniform", kNothing), 0), "everything, ungated");
}

TEST(Methods, VisionRowsOfferKeysOnly) {
  check(everywhere(rule(0.0, "uniform", {false, true, true, false}), 2), "as ShortV");
}

TEST(Methods, VisionRowsSkipTheirAttention) {
  check(everywhere(rule(0.0, "uniform", {false, true, true, true}), 1), "vision attention off");
}

TEST(Methods, KeysAndValuesAreCompressed) {
  check(everywhere(rule(0.4, "uniform", {true, true, false, true})), "KV compression");
}

TEST(Methods, VisionRowsQueryButAreNotSeen) {
  check(everywhere(rule(0.3, "random", {true, false, false, true})), "unseen");
}

TEST(Methods, RowsChosenByAttentionLeaveForGood) {
  check(plan_of({{.layer = 2, .rules = {rule(0.5, "attention", kNothing, false)}}}), "as FastV");
  check(plan_of({{.layer = 1, .rules = {rule(0.7, "attention", kNothing, false)}},
                 {.layer = 3, .rules = {rule(0.5, "attention", kNothing, false)}}}),
        "as PyramidDrop");
}

TEST(Methods, RowsThatLeaveMayStillBeSeenOnce) {
  check(plan_of({{.layer = 1, .rules = {rule(0.4, "similarity", {false, true, true, false}, false)}}}), "seen once");
}

TEST(Methods, OtherSelectors) {
  for (const char* by : {"random", "uniform", "similarity", "diversity", "relevance", "variation", "text_attention",
                         "key_norm", "duplication"}) {
    check(everywhere(rule(0.45, by, kNothing), 1), by);
    check(plan_of({{.layer = 2, .rules = {rule(0.45, by, kNothing, false)}}}), concat(by, ", for good"));
  }
}

TEST(Methods, VisionRowsEnterLateAndLeaveEarly) {
  check(plan_of({{.layer = 0, .rules = {rule(0.0, "uniform", kNothing)}},
                 {.layer = 2, .rules = {rule(0.5, "attention", kNothing, false)}},
                 {.layer = 3, .rules = {rule(0.0, "uniform", kNothing, false)}}}),
        "late entry, early exit");
}

TEST(Methods, RowsWithoutKeysAreChosenLastByKeys) {
  // In layer 1 some vision rows offer no key, so in layer 2 they have no norm.
  for (const char* by : {"key_norm", "duplication"}) {
    check(plan_of({{.layer = 1, .rules = {rule(0.5, "random", {true, false, false, true})}},
                   {.layer = 2, .rules = {rule(0.6, by, kNothing, false)}}}),
          by);
  }
}

TEST(Methods, AttentionOff) {
  check(plan_of({{.layer = 0, .self_attention = false}, {.layer = 2, .self_attention = false}}), "attention off");
  check(plan_of({{.layer = 1, .self_attention = false, .rules = {gated(0.5)}}}), "attention off, routed");
}

TEST(Methods, RulesCombine) {
  Rule text = rule(0.5, "uniform", {true, true, true, false});
  text.group = plan::Group::text;
  Rule tiles = rule(0.0, "uniform", kNothing, false);
  tiles.group = plan::Group::vision_high_res;
  Plan plan = p_mod();
  plan.layers[0].rules.insert(plan.layers[0].rules.begin(),
                              tiles);  // the first rule takes the tiles, the router what is left
  plan.layers[1].rules.push_back(rule(0.0, "uniform", kNothing));  // comes too late: every vision row is governed
  plan.layers[2].self_attention = false;
  check(plan, "combined");
  plan.layers[0].rules.push_back(text);
  Dice dice(23);
  expect_equals_twin(random_blocks(dice, kFourLayers), kFourLayers, three_prompts(dice, plan), "text too");
}

TEST(Methods, AWindowGoesByOriginalPosition) {
  TinyShape narrow = kFourLayers;
  narrow.window = 4;
  Dice dice(24);
  const std::vector<Block> blocks = random_blocks(dice, narrow);
  std::vector<Prompt> all = three_prompts(dice, p_mod());
  expect_equals_twin(blocks, narrow, all, "window");
  for (Prompt& prompt : all) {
    prompt.prompt_rows -= 2;
    expect_served_equals_twin(blocks, narrow, prompt, "window");
    prompt.plan = plan_of({{.layer = 2, .rules = {rule(0.5, "attention", kNothing, false)}}});
    expect_served_equals_twin(blocks, narrow, prompt, "window, by attention");
  }
}

TEST(Methods, ThePadRowsOfPublishedBatches) {
  // Pad rows run as published code runs them, and no row sees them.
  Dice dice(25);
  const std::vector<Block> blocks = random_blocks(dice, kFourLayers);
  Prompt padded = random_prompt(dice, kFourLayers, kinds_of(2, 5, 3));
  for (const size_t row : {size_t{0}, size_t{9}}) padded.kinds[row] = RowKind::padding;
  Prompt bare = padded;
  bare.x = padded.x.narrow(0, 1, 8);
  bare.positions.assign(padded.positions.begin() + 1, padded.positions.begin() + 9);
  bare.kinds.assign(padded.kinds.begin() + 1, padded.kinds.begin() + 9);
  bare.prompt_rows = 8;
  for (const Plan& plan : {Plan{}, everywhere(rule(0.4, "uniform", kNothing), 1)}) {
    padded.plan = bare.plan = plan;
    expect_equals_twin(blocks, kFourLayers, {padded}, "padded");
    const at::NoGradGuard no_gradient;
    const Tensor with = run_all(blocks, kFourLayers, {padded}).hidden.narrow(0, 1, 8);
    test::expect_close(with, run_all(blocks, kFourLayers, {bare}).hidden, 1e-9, "real rows do not notice");
  }
}

TEST(Methods, ARuleMayShowPadding) {
  Rule seen = rule(1.0, "uniform", kNothing), half = rule(0.5, "uniform", {true, false, false, true});
  seen.group = half.group = plan::Group::padding;
  Dice dice(28);
  const std::vector<Block> blocks = random_blocks(dice, kFourLayers);
  Prompt padded = random_prompt(dice, kFourLayers, kinds_of(2, 5, 3)), all_text = padded;
  for (const size_t row : {size_t{0}, size_t{1}, size_t{2}}) padded.kinds[row] = RowKind::padding;
  padded.plan = everywhere(seen);
  expect_equals_twin(blocks, kFourLayers, {padded}, "seen");
  padded.plan = everywhere(half, 2);
  expect_equals_twin(blocks, kFourLayers, {padded}, "half of it seen");

  padded.plan = everywhere(seen);
  const at::NoGradGuard no_gradient;
  test::expect_close(run_all(blocks, kFourLayers, {padded}).hidden, run_all(blocks, kFourLayers, {all_text}).hidden,
                     1e-9, "padding that is kept is like any row");
}

TEST(Methods, SequencesUnderSeveralPlansAtOnce) {
  Dice dice(26);
  std::vector<Prompt> all = three_prompts(dice, p_mod());
  all.push_back(random_prompt(dice, kFourLayers, kinds_of(1, 7, 2)));
  all[0].plan = plan_of(
      {{.layer = 1, .self_attention = false}, {.layer = 2, .rules = {rule(0.5, "attention", kNothing, false)}}});
  all[2].plan = everywhere(rule(0.3, "similarity", {false, true, true, false}));
  all[3].plan = {};
  expect_equals_twin(random_blocks(dice, kFourLayers), kFourLayers, all, "several plans");
}

TEST(Methods, KeptRowsAreCountedInFloat32) {
  // 300 * 0.21 is 63 in float64 and 62 in float32, as published.
  const Rule r = rule(0.21, "uniform", kNothing);
  EXPECT_EQ(plan::kept_rows(r, 300), 62);
  const TinyShape one{.layers = 1, .hidden = 4, .heads = 1, .kv_heads = 1, .head_dim = 4, .inner = 4};
  Dice dice(27);
  Prompt prompt = random_prompt(dice, one, kinds_of(1, 300, 1));
  prompt.plan = plan_of({{.layer = 0, .rules = {r}}});
  EXPECT_EQ(serve(random_blocks(dice, one), one, prompt).states[0].length(), 64);
}

}  // namespace
}  // namespace lithe::routing
