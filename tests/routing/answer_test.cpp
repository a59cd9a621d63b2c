#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>

#include "base/error.h"
#include "routing/twin.h"

// Training sees a prompt and its answer in one pass. What adapters take of a prompt must be what serving freezes.
namespace lithe::routing {
namespace {

using test::expect_close;

constexpr int64_t kAnswer = 3;

/// EAS over p-MoD: gated PIAs in the place of two attentions, gated adapters before the others, half of the vision rows
/// routed in two layers.
struct Eas {
  explicit Eas(uint64_t seed) : dice(seed), blocks(random_blocks(dice, kFourLayers)) {
    for (const size_t layer : {0, 2}) {
      replace_attention(dice, blocks[layer], true);
      plan.layers.push_back({.layer = static_cast<int64_t>(layer), .self_attention = false});
    }
    for (const size_t layer : {1, 3}) {
      blocks[layer].sites[0].adapter = random_rep_adapter(dice, kFourLayers.hidden, 4, true);
      blocks[layer].sites[1].adapter = random_rep_adapter(dice, kFourLayers.hidden, 4, true);
    }
    plan::Rule routed = rule(0.5, "router", kNothing);
    routed.gate = kTanhNorm;
    plan.layers[1].rules = {routed};
    plan.layers.insert(plan.layers.begin() + 1, plan::LayerPlan{.layer = 1, .rules = {routed}});
  }

  Prompt sample(const std::vector<RowKind>& kinds) {
    Prompt prompt = random_prompt(dice, kFourLayers, kinds, true);
    prompt.plan = plan;
    prompt.prompt_rows -= kAnswer;
    return prompt;
  }

  Dice dice;
  std::vector<Block> blocks;
  plan::Plan plan;
};

TEST(Answers, TrainAsTheyAreServed) {
  const at::NoGradGuard no_gradient;
  Eas eas(61);
  const std::vector<Prompt> samples{eas.sample(kinds_of(2, 7, 6)), eas.sample(kinds_of(3, 0, 5)),
                                    eas.sample(kinds_of(1, 4, 4))};
  const Outcome trained = run_all(eas.blocks, kFourLayers, samples);
  for (size_t i = 0; i < samples.size(); ++i) {
    const Served served = serve(eas.blocks, kFourLayers, samples[i]);
    const Tensor rows = trained.hidden.narrow(0, trained.batch.offsets[i], samples[i].rows());
    expect_close(rows, at::cat({served.prompt_hidden, served.decoded_hidden}), 1e-12, concat("sample ", i));
  }
}

/// How far the rows before row `changed` move if that row is another.
double leak(const std::vector<Block>& blocks, Prompt sample, int64_t changed) {
  const Tensor before = run_all(blocks, kFourLayers, {sample}).hidden;
  sample.x = sample.x.clone();
  sample.x[changed].add_(1.0);
  return test::largest_difference(run_all(blocks, kFourLayers, {sample}).hidden.narrow(0, 0, changed),
                                  before.narrow(0, 0, changed));
}

TEST(Answers, ChangeNothingBeforeThem) {
  const at::NoGradGuard no_gradient;
  Eas eas(62);
  Prompt sample = eas.sample(kinds_of(2, 7, 6));
  for (int64_t row = sample.prompt_rows; row < sample.rows(); ++row) EXPECT_EQ(leak(eas.blocks, sample, row), 0);
  sample.prompt_rows = sample.rows();  // as published: means over all rows given
  for (int64_t row = sample.rows() - kAnswer; row < sample.rows(); ++row)
    EXPECT_GT(leak(eas.blocks, sample, row), 1e-3);
}

TEST(Answers, AreChosenByNoRule) {
  // A rule over every row chooses among those of the prompt, as it does when the answer is decoded.
  const at::NoGradGuard no_gradient;
  Eas eas(63);
  plan::Rule all = rule(0.5, "uniform", {true, true, false, true});  // offers keys that are not cached
  all.group = plan::Group::all;
  eas.plan.layers.push_back({.layer = 3, .rules = {all}});
  const Prompt sample = eas.sample(kinds_of(2, 7, 6));
  const Served served = serve(eas.blocks, kFourLayers, sample);
  expect_close(run_all(eas.blocks, kFourLayers, {sample}).hidden,
               at::cat({served.prompt_hidden, served.decoded_hidden}), 1e-12, "served");
  for (int64_t row = sample.prompt_rows; row < sample.rows(); ++row) EXPECT_EQ(leak(eas.blocks, sample, row), 0);
}

TEST(Answers, ReadTheMeanOfNoRowsIfTheLayerKeepsNoneOfThePrompt) {
  Eas eas(64);
  plan::Rule none = rule(0, "uniform", kNothing);
  none.group = plan::Group::all;
  eas.plan = plan_of({{.layer = 0, .self_attention = false, .rules = {none}}, {.layer = 1, .rules = {none}}});
  const std::vector<Prompt> samples{eas.sample(kinds_of(2, 4, 5)), eas.sample(kinds_of(1, 0, 4))};
  expect_equals_twin(eas.blocks, kFourLayers, samples, "no row of the prompt");
  for (const Prompt& sample : samples) expect_served_equals_twin(eas.blocks, kFourLayers, sample, "served");
}

}  // namespace
}  // namespace lithe::routing
