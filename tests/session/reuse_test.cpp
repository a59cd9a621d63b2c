#include "session/reuse.h"

#include <ATen/ops/cat.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "base/error.h"
#include "models/parts/decoder.h"
#include "ops/tensor_support.h"
#include "plan/random_plan.h"
#include "session/generation.h"

namespace lithe::session {
namespace {

using routing::RowKind;
using test::Dice;
using test::expect_close;
using Kinds = std::vector<RowKind>;

constexpr int64_t kLayers = 4;
constexpr plan::Switches kNothing{false, false, false, false};

/// A tiny model with random float64 weights, of which only the decoder is there.
models::Model tiny_model(uint64_t seed, std::optional<int64_t> window, const std::map<int64_t, models::EasLayer>& eas) {
  Dice dice(seed);
  models::DecoderConfig config{
      .layers = kLayers, .hidden = 16, .intermediate = 24, .heads = 4, .kv_heads = 2, .head_dim = 4, .vocab = 8};
  config.rope.head_dim = 4;
  config.window = window;
  config.eas = eas;
  for (int64_t layer = 0; layer < kLayers; ++layer) config.routers.push_back(layer);
  models::Model model;
  model.decoder = models::shaped_decoder(config);
  visit(model.decoder, [&](const models::WeightSlot& slot) {
    slot.tensor = dice.normal(slot.shape, slot.shape.size() == 2 ? 0.3 : 1.0);
  });
  return model;
}

plan::Rule rule(plan::Group group, double share, const std::string& by, plan::Switches others = kNothing) {
  return {.group = group, .keep_share = share, .by = by, .others = others};
}

plan::Plan plan_with(const plan::Rule& rule) {
  return {.name = "one rule", .layers = {{.layer = 2, .rules = {rule}}}};
}

/// "ttvvht": a letter a row.
Kinds kinds(const std::string& letters) {
  Kinds rows;
  for (const char letter : letters) {
    rows.push_back(letter == 'v' ? RowKind::vision : letter == 'h' ? RowKind::vision_high_res : RowKind::text);
  }
  return rows;
}

/// held: prompt and, behind the stroke, decoded rows.
int64_t reused(const plan::Plan& plan, std::string held, const std::string& prompt, int64_t equal) {
  const auto stroke = static_cast<int64_t>(held.find('|'));
  held.erase(static_cast<size_t>(stroke), 1);
  const Kinds before = kinds(held), after = kinds(prompt);
  return reusable_rows(plan, {}, {.held = before, .held_prompt = stroke, .prompt = after, .equal = equal});
}

TEST(Reuse, DenseKeepsWhatIsEqual) {
  EXPECT_EQ(reused({}, "ttvvtt|tt", "ttvvttttttt", 8), 8);
  EXPECT_EQ(reused({}, "ttvvtt|tt", "ttvvttttttt", 5), 5);
  EXPECT_EQ(reused({}, "ttvvtt|tt", "ttvvtttt", 8), 7) << "the last row gives the logits";
  EXPECT_EQ(reused({}, "tt|", "vv", 0), 0);
}

TEST(Reuse, AChoiceStaysWhileItsGroupIsTheSame) {
  for (const char* by : {"router", "random", "uniform", "similarity"}) {
    const plan::Plan plan = plan_with(rule(plan::Group::vision, 0.5, by));
    EXPECT_EQ(reused(plan, "ttvvtt|tt", "ttvvttttttt", 8), 8) << by;
    EXPECT_EQ(reused(plan, "ttvvtt|tt", "ttvvttttvvt", 8), 2) << by << ": a further picture";
    EXPECT_EQ(reused(plan, "ttvvttvv|tt", "ttvvtttttt", 5), 2) << by << ": a picture less";
    EXPECT_EQ(reused(plan, "tttt|tt", "ttttttvvt", 6), 6) << by << ": the first picture";
  }
}

TEST(Reuse, AChoiceAmongTextTakesDecodedRowsIn) {
  EXPECT_EQ(reused(plan_with(rule(plan::Group::text, 0.5, "similarity")), "vvtt|tt", "vvttttt", 6), 2);
  EXPECT_EQ(reused(plan_with(rule(plan::Group::all, 0.5, "similarity")), "vvtt|tt", "vvttttt", 6), 0);
}

TEST(Reuse, AttentionOfTheLastRowChoosesAnew) {
  const plan::Plan fastv = plan_with(rule(plan::Group::vision, 0.5, "attention"));
  EXPECT_EQ(reused(fastv, "ttvvtt|tt", "ttvvttttttt", 8), 2);
  EXPECT_EQ(reused(fastv, "tttt|tt", "tttttttt", 6), 6) << "nothing to choose from";
  plan::Plan silent = fastv;
  silent.layers.insert(silent.layers.begin(),
                       {.layer = 1, .rules = {rule(plan::Group::text, 0.0, "uniform", {false, true, true, true})}});
  EXPECT_EQ(reused(silent, "ttvvtt|tt", "ttvvttttttt", 8), 0) << "the last row does not ask";
}

TEST(Reuse, RowsTreatedAlikeAreParted) {
  const plan::Switches frozen{false, true, true, false};
  EXPECT_EQ(reused(plan_with(rule(plan::Group::vision, 0.0, "uniform", frozen)), "tvtt|tt", "tvttttvt", 6), 6);
  EXPECT_EQ(reused(plan_with(rule(plan::Group::text, 0.0, "uniform", frozen)), "tvtt|tt", "tvttttvt", 6), 4);
  plan::Rule gated = rule(plan::Group::all, 1.0, "router");
  EXPECT_EQ(reused(plan_with(gated), "tvtt|tt", "tvttttvt", 6), 6) << "keeps everything, weighs nothing";
  gated.gate = plan::Gate{};
  EXPECT_EQ(reused(plan_with(gated), "tvtt|tt", "tvttttvt", 6), 4) << "decoded rows have no weight";
  gated.gate->norm = plan::WeightNorm::softmax;
  EXPECT_EQ(reused(plan_with(gated), "tvtt|tt", "tvttttvt", 6), 0) << "a weight is a share of the whole group";
}

TEST(Reuse, UncachedKeysAreSeenByTheirOwnPromptOnly) {
  const plan::Switches uncached{true, true, false, true};
  EXPECT_EQ(reused(plan_with(rule(plan::Group::vision, 0.5, "uniform", uncached)), "tvvtt|t", "tvvttttt", 6), 1);
  EXPECT_EQ(reused(plan_with(rule(plan::Group::vision, 0.0, "uniform", uncached)), "tvvtt|t", "tvvttttt", 6), 1);
}

TEST(Reuse, ACutForOneRulePartsAnothersGroup) {
  plan::Plan plan = plan_with(rule(plan::Group::vision, 0.5, "uniform"));
  plan.layers.push_back({.layer = 3, .rules = {rule(plan::Group::vision_high_res, 0.5, "attention")}});
  EXPECT_EQ(reused(plan, "tvvhhtt|t", "tvvhhtttt", 8), 1);
}

TEST(Reuse, AnEarlierRuleOwnsItsRows) {
  plan::Plan plan = plan_with(rule(plan::Group::vision, 1.0, "uniform"));
  plan.layers[0].rules.push_back(rule(plan::Group::all, 0.5, "similarity"));
  EXPECT_EQ(reused(plan, "vvttvv|t", "vvttvvttt", 7), 2) << "`all` governs the text alone";
}

TEST(Reuse, RulesOfTheTowerDoNotCount) {
  plan::Plan plan = plan_with(rule(plan::Group::all, 0.5, "similarity"));
  plan.layers[0].stream = "vision_tower";
  EXPECT_EQ(reused(plan, "tvvtt|t", "tvvttttt", 6), 6);
}

TEST(Reuse, AdaptersOverThePromptKeepNothing) {
  const models::AdapterShape shape{.rank = 4};
  const std::map<int64_t, models::EasLayer> pia{{1, {.attention = false, .pia = shape}}};
  const std::map<int64_t, models::EasLayer> gated{{1, {.adapter = shape}}};
  const Kinds before = kinds("tttt"), after = kinds("tttttt");
  const Turns turns{.held = before, .held_prompt = 3, .prompt = after, .equal = 4};
  EXPECT_EQ(reusable_rows({}, tiny_model(1, {}, pia).decoder.blocks, turns), 0);
  models::Model model = tiny_model(1, {}, gated);
  EXPECT_EQ(reusable_rows({}, model.decoder.blocks, turns), 0);
  model.decoder.blocks[1].sites[0].adapter->gate.reset();
  EXPECT_EQ(reusable_rows({}, model.decoder.blocks, turns), 4);
}

/// A conversation without text: rows of numbers, and which kind each is.
struct Rows {
  Tensor x;  // [rows, hidden]
  Kinds kinds;

  void add(Dice& dice, RowKind kind, int64_t count) {
    if (count == 0) return;
    const Tensor more = dice.normal({count, 16});
    x = x.defined() ? at::cat({x, more}) : more;
    kinds.insert(kinds.end(), static_cast<size_t>(count), kind);
  }
  int64_t count() const { return static_cast<int64_t>(kinds.size()); }
};

/// A prompt pass over the rows behind those that are held -> [1, hidden], the last row.
Tensor prefill(const models::Model& model, Generation& generation, const Rows& rows) {
  const int64_t held = generation.next_position();
  routing::Batch batch;
  generation.enter_prompt(batch, std::span(rows.kinds).subspan(static_cast<size_t>(held)));
  const Tensor hidden = model.decoder.forward(std::move(batch), rows.x.narrow(0, held, rows.count() - held));
  return hidden.narrow(0, hidden.size(0) - 1, 1);
}

Tensor decode(const models::Model& model, Generation& generation, const Tensor& x) {
  routing::Batch batch;
  generation.enter_token(batch);
  return model.decoder.forward(std::move(batch), x);
}

/// Three turns: every one runs behind what may stay of the turn before, and anew. Returns the rows that stayed.
int64_t expect_turns_equal_fresh_runs(const models::Model& model, const plan::Plan& plan, Dice& dice,
                                      const std::string& where) {
  Rows rows;
  const auto owned = std::make_shared<const plan::Plan>(plan);
  Generation chat(model, owned);
  Kinds held;
  int64_t held_prompt = 0, stayed = 0;
  for (int turn = 0; turn < 3; ++turn) {
    const int64_t equal = std::min(rows.count(), static_cast<int64_t>(held.size()));
    rows.add(dice, RowKind::text, 1 + dice.below(3));
    if (turn == 0 || dice.below(3) == 0) {
      rows.add(dice, RowKind::vision, dice.below(8));
      rows.add(dice, RowKind::vision_high_res, dice.below(6));
    }
    rows.add(dice, RowKind::text, 1 + dice.below(3));
    const int64_t keep = reusable_rows(
        plan, model.decoder.blocks, {.held = held, .held_prompt = held_prompt, .prompt = rows.kinds, .equal = equal});
    stayed += keep;
    chat.keep(keep);
    Generation fresh(model, owned);
    expect_close(prefill(model, chat, rows), prefill(model, fresh, rows), 1e-9, concat(where, ", turn ", turn));
    EXPECT_EQ(chat.rows_held(), fresh.rows_held()) << where;
    held = rows.kinds;
    held_prompt = rows.count();
    for (int64_t i = dice.below(4); i > 0; --i) {  // of an answer, some rows come back as they were
      const Tensor x = dice.normal({1, 16});
      expect_close(decode(model, chat, x), decode(model, fresh, x), 1e-9, concat(where, ", answer of turn ", turn));
      held.push_back(RowKind::text);
      if (static_cast<size_t>(rows.count()) + 1 == held.size() && dice.below(4) > 0) {
        rows.x = at::cat({rows.x, x});
        rows.kinds.push_back(RowKind::text);
      }
    }
  }
  return stayed;
}

TEST(Reuse, EveryTurnEqualsAFreshRunUnderRandomPlans) {
  const c10::InferenceMode no_gradients;
  const models::AdapterShape shape{.rank = 4};
  const models::Model tiny[] = {tiny_model(1, {}, {}), tiny_model(2, 5, {}),
                                tiny_model(3, {}, {{2, {.attention = false, .pia = shape}}})};
  plan::RandomPlans plans(7);
  Dice dice(8);
  int64_t stayed = 0;
  for (int i = 0; i < 300 && !::testing::Test::HasFailure(); ++i) {
    const size_t which = i % 5 < 3 ? static_cast<size_t>(i) % 5 : 0;
    plan::Plan plan = i % 20 == 0 || which == 2 ? plan::Plan{} : plans.plan(kLayers);  // the third has adapters
    for (plan::LayerPlan& layer : plan.layers) {  // fewer rules, so that something stays
      while (layer.rules.size() > 1 || (!layer.rules.empty() && dice.below(3) == 0)) layer.rules.pop_back();
    }
    stayed += expect_turns_equal_fresh_runs(tiny[which], plan, dice, concat("plan ", i));
  }
  EXPECT_GT(stayed, 300);
}

}  // namespace
}  // namespace lithe::session
