#include "plan/reuse.h"

#include <ATen/ops/cat.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "base/error.h"
#include "models/parts/decoder.h"
#include "ops/tensor_support.h"
#include "plan/random_plan.h"
#include "session/chunks.h"
#include "session/generation.h"
#include "session/tiny_model.h"

namespace lithe::session {
namespace {

using test::Dice;
using test::expect_close;

TEST(Reuse, GatedAdaptersAndPiasReadTheWholePrompt) {
  const models::AdapterShape shape{.rank = 4};
  const std::map<int64_t, models::EasLayer> pia{{1, {.attention = false, .pia = shape}}};
  const std::map<int64_t, models::EasLayer> gated{{1, {.adapter = shape}}};
  const auto reads = [](const models::Model& model) {
    return routing::read_whole_prompt(model.decoder.blocks, plan::Plan{}, "decoder");
  };
  EXPECT_TRUE(reads(tiny_model(1, {}, pia)));
  models::Model model = tiny_model(1, {}, gated);
  EXPECT_TRUE(reads(model));
  model.decoder.blocks[1].sites[0].adapter->gate.reset();
  EXPECT_FALSE(reads(model));
}

/// Three turns: every one runs after the rows that may stay of the turn before, and also from the start. Returns the
/// rows that stayed.
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
    const int64_t keep = plan::reusable_rows(
        plan, model.facts,
        {.held = held,
         .held_prompt = held_prompt,
         .prompt = rows.kinds,
         .equal = equal,
         .adapters_read_prompt = routing::read_whole_prompt(model.decoder.blocks, plan, "decoder")});
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

plan::Plan plan_with(plan::Group group, double share, const std::string& by) {
  const plan::Rule rule{.group = group, .keep_share = share, .by = by, .others = {false, false, false, false}};
  return {.name = "one rule", .layers = {{.layer = 2, .rules = {rule}}}};
}

Kinds kinds_of(const std::string& letters) {
  Kinds rows;
  for (const char letter : letters) rows.push_back(letter == 'v' ? RowKind::vision : RowKind::text);
  return rows;
}

/// The rows before which a prompt may be cut: "ttvv|tt" if before row 4 only.
std::string cuts(const models::Model& model, const plan::Plan& plan, const std::string& letters) {
  const Kinds rows = kinds_of(letters);
  std::string marked = letters.substr(0, 1);
  for (int64_t row = 1; row < static_cast<int64_t>(rows.size()); ++row) {
    if (may_cut(model, plan, rows, row)) marked += '|';
    marked += letters[static_cast<size_t>(row)];
  }
  return marked;
}

TEST(Chunks, ACutPartsNoScope) {
  const models::AdapterShape shape{.rank = 4};
  models::Model bare = tiny_model(1, {}, {});
  const models::Model adapted = tiny_model(3, {}, {{2, {.attention = false, .pia = shape}}});
  using plan::Group;
  EXPECT_EQ(cuts(bare, {}, "ttvvtt"), "t|t|v|v|t|t");
  EXPECT_EQ(cuts(bare, plan_with(Group::vision, 0.5, "router"), "ttvvvtt"), "t|t|vvv|t|t");
  EXPECT_EQ(cuts(bare, plan_with(Group::vision, 0.5, "router"), "ttvvttvvtt"), "t|t|vvttvv|t|t");
  EXPECT_EQ(cuts(bare, plan_with(Group::vision, 0.5, "attention"), "ttvvvtt"), "t|t|vvvtt");
  EXPECT_EQ(cuts(bare, plan_with(Group::vision, 0.0, "uniform"), "ttvvvtt"), "t|t|v|v|v|t|t");
  EXPECT_EQ(cuts(adapted, {}, "ttvvtt"), "ttvvtt");
  bare.decoder.config.rope.scaling = ops::RopeConfig::Scaling::dynamic;
  bare.decoder.config.rope.original_positions = 6;
  EXPECT_EQ(cuts(bare, {}, "tttttt"), "t|t|t|t|t|t");
  EXPECT_EQ(cuts(bare, {}, "ttttttt"), "ttttttt");
}

TEST(Chunks, TheNextCutIsTheLastThatFitsOrElseTheFirstAfterIt) {
  const models::AdapterShape shape{.rank = 4};
  const models::Model bare = tiny_model(1, {}, {}),
                      adapted = tiny_model(3, {}, {{2, {.attention = false, .pia = shape}}});
  const plan::Plan routed = plan_with(plan::Group::vision, 0.5, "router");
  const Kinds rows = kinds_of("ttvvvvvttt");
  EXPECT_EQ(next_cut(bare, {}, rows, 0, 4), 4);
  EXPECT_EQ(next_cut(bare, {}, rows, 4, 4), 8);
  EXPECT_EQ(next_cut(bare, {}, rows, 8, 4), 10);
  EXPECT_EQ(next_cut(bare, routed, rows, 0, 4), 2);
  EXPECT_EQ(next_cut(bare, routed, rows, 2, 4), 7);
  EXPECT_EQ(next_cut(bare, routed, rows, 7, 2), 9);
  EXPECT_EQ(next_cut(bare, plan_with(plan::Group::vision, 0.5, "attention"), rows, 2, 4), 10);
  EXPECT_EQ(next_cut(adapted, {}, rows, 0, 4), 10);
}

/// As next_cut() says, by trying every row.
int64_t next_cut_by_trial(const models::Model& model, const plan::Plan& plan, const Kinds& kinds, int64_t held,
                          int64_t most) {
  const int64_t rows = std::ssize(kinds), furthest = held + most;
  if (furthest >= rows) return rows;
  for (int64_t row = furthest; row > held; --row) {
    if (may_cut(model, plan, kinds, row)) return row;
  }
  for (int64_t row = furthest + 1; row < rows; ++row) {
    if (may_cut(model, plan, kinds, row)) return row;
  }
  return rows;
}

/// Prefill of a generation that holds nothing yet, cut before these rows.  -> [rows of the last chunk that are alive,
/// hidden]
Tensor prefill_in_chunks(Generation& generation, const Rows& rows, const std::vector<int64_t>& cuts,
                         const routing::Places& places = {}) {
  const std::span<const RowKind> kinds(rows.kinds);
  Tensor hidden;
  for (size_t i = 0; i <= cuts.size(); ++i) {
    const int64_t begin = i == 0 ? 0 : cuts[i - 1], end = i < cuts.size() ? cuts[i] : rows.count();
    const auto first = static_cast<size_t>(begin), count = static_cast<size_t>(end - begin);
    hidden = generation.prefill(rows.x.narrow(0, begin, end - begin), kinds.subspan(first, count), {},
                                ops::some_places(places, begin, end));
  }
  return hidden;
}

TEST(Chunks, EqualOnePassUnderRandomPlans) {
  const c10::InferenceMode no_gradients;
  const models::Model tiny[] = {tiny_model(1, {}, {}), tiny_model(2, 5, {})};
  plan::RandomPlans plans(17);
  Dice dice(18);
  int64_t cut = 0;
  for (int i = 0; i < 200 && !::testing::Test::HasFailure(); ++i) {
    const models::Model& model = tiny[i % 2];
    plan::Plan plan = i % 10 == 0 ? plan::Plan{} : plans.plan(kLayers);
    for (plan::LayerPlan& layer : plan.layers) {
      while (layer.rules.size() > 1 || (!layer.rules.empty() && dice.below(3) == 0)) layer.rules.pop_back();
    }
    Rows rows;
    rows.add(dice, RowKind::text, 1 + dice.below(6));
    rows.add(dice, RowKind::vision, dice.below(8));
    rows.add(dice, RowKind::vision_high_res, dice.below(6));
    rows.add(dice, RowKind::text, 1 + dice.below(6));
    std::vector<int64_t> chosen;
    for (int64_t row = 1; row < rows.count(); ++row) {
      if (may_cut(model, plan, rows.kinds, row) && dice.below(3) == 0) chosen.push_back(row);
    }
    for (int64_t most = 1; most < rows.count(); most += 2)
      EXPECT_EQ(next_cut(model, plan, rows.kinds, 0, most), next_cut_by_trial(model, plan, rows.kinds, 0, most)) << i;
    cut += static_cast<int64_t>(chosen.size());
    const auto owned = std::make_shared<const plan::Plan>(plan);
    Generation whole(model, owned), parts(model, owned);
    const Tensor expected = prefill(model, whole, rows), hidden = prefill_in_chunks(parts, rows, chosen);
    expect_close(hidden.narrow(0, hidden.size(0) - 1, 1), expected, 1e-9, concat("plan ", i));
    EXPECT_EQ(parts.rows_held(), whole.rows_held()) << i;
    const Tensor x = dice.normal({1, 16});
    expect_close(decode(model, parts, x), decode(model, whole, x), 1e-9, concat("plan ", i, ", decoding"));
  }
  EXPECT_GT(cut, 200);
}

// Rotary places on several axes, as M-RoPE has them, come with the rows of each chunk.
TEST(Chunks, KeepTheRotaryPlaces) {
  const c10::InferenceMode no_gradients;
  models::Model model = tiny_model(1, {}, {});
  model.decoder.config.rope.sections = {1, 1};
  Dice dice(21);
  Rows rows;
  rows.add(dice, RowKind::vision, 7);
  rows.add(dice, RowKind::text, 3);
  routing::Places places(2);
  for (int64_t row = 0; row < rows.count(); ++row) {
    places[0].push_back(row < 7 ? row % 3 : row);
    places[1].push_back(row < 7 ? 20 - 2 * row : row);  // the largest place is in the first chunk
  }
  const auto dense = std::make_shared<const plan::Plan>();
  Generation whole(model, dense), parts(model, dense);
  const Tensor expected = whole.prefill(rows.x, rows.kinds, {}, places);
  const Tensor hidden = prefill_in_chunks(parts, rows, {4, 8}, places);
  expect_close(hidden, expected.narrow(0, 8, 2), 1e-9, "prompt");
  const Tensor x = dice.normal({1, 16});
  expect_close(decode(model, parts, x), decode(model, whole, x), 1e-9, "decoding");
}

}  // namespace
}  // namespace lithe::session
