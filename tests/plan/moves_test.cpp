#include "plan/moves.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/error.h"
#include "plan/cost.h"
#include "plan/parse.h"
#include "plan/rows.h"
#include "plan/validate.h"

namespace lithe::plan {
namespace {

ModelFacts small() {
  ModelFacts model = shape_named("llava-1.5-7b");
  model.layers = 4;
  return model;
}

std::set<std::string> names(const std::vector<Move>& moves) {
  std::set<std::string> all;
  for (const Move& move : moves) all.insert(move.name);
  return all;
}

double decoder_flops(const Plan& plan, const ModelFacts& model) {
  return cost(plan, model, prompt_of(model, 576, 40)).total.decoder;
}

TEST(Moves, OfADenseLayer) {
  const ModelFacts model = small();
  const Plan dense;
  const Moves moves = moves_of(dense, model, "uniform");
  ASSERT_EQ(moves.size(), 4u);
  for (const std::vector<Move>& layer : moves) {
    EXPECT_EQ(layer.front().name, "as it is");
    EXPECT_EQ(names(layer),
              (std::set<std::string>{"as it is", "vision 50 %", "vision 25 %", "vision 0 %", "vision without queries",
                                     "vision without feed-forward", "vision keys and values only", "feed-forward off",
                                     "attention off", "attention off, vision 0 %"}));
  }
}

// What moves save adds up, since rows that skip a layer return.
TEST(Moves, CostWhatTheyCostAlone) {
  const ModelFacts model = small();
  const Plan dense;
  const Moves moves = moves_of(dense, model, "uniform");
  const double whole = decoder_flops(dense, model);
  for (std::size_t move = 1; move < moves[0].size(); ++move) {
    double sum = whole;
    Combination all(4, 0);
    for (std::size_t layer = 0; layer < 4; ++layer) {
      Combination one(4, 0);
      one[layer] = all[layer] = 1 + (move + layer) % (moves[0].size() - 1);
      const Plan alone = combined(dense, moves, one, "alone");
      EXPECT_NO_THROW(validate(alone, model));
      EXPECT_LT(decoder_flops(alone, model), whole) << moves[layer][one[layer]].name;
      sum += decoder_flops(alone, model) - whole;
    }
    const Plan together = combined(dense, moves, all, "together");
    EXPECT_NO_THROW(validate(together, model));
    EXPECT_NEAR(decoder_flops(together, model), sum, 1e-9 * whole);
    EXPECT_EQ(parse_plan(to_json(together), "test", model), together);
  }
}

// A rule of the base plan keeps its router and its gate.
TEST(Moves, OfAPModLayerChangeItsShare) {
  const ModelFacts model = small();
  const Plan base = parse_plan(parse_json(R"({"name": "own", "layers": [{"layer": 1, "rules": [
      {"group": "vision", "keep_share": 0.5, "by": "router", "gate": "tanh_norm"}]}]})",
                                          "test"),
                               "test", model);
  const Moves moves = moves_of(base, model, "uniform");
  EXPECT_EQ(names(moves[1]), (std::set<std::string>{"as it is", "vision 25 %", "vision 0 %", "attention off",
                                                    "attention off, vision 0 %"}));
  for (const Move& move : moves[1]) {
    ASSERT_EQ(move.entry.rules.size(), 1u) << move.name;
    EXPECT_EQ(move.entry.rules[0].by, "router");
    EXPECT_EQ(move.entry.rules[0].gate, Gate{});
  }
  EXPECT_EQ(combined(base, moves, {0, 0, 0, 0}, "own"), base);
}

/// A plan whose layer 1 has these rules.
Plan with_rules(const std::string& rules, const ModelFacts& model) {
  const std::string json = R"({"name": "own", "layers": [{"layer": 1, "rules": )" + rules + "}]}";
  return parse_plan(parse_json(json, "test"), "test", model);
}

const Move* move_named(const std::vector<Move>& moves, const std::string& name) {
  const auto found = std::find_if(moves.begin(), moves.end(), [&](const Move& move) { return move.name == name; });
  return found == moves.end() ? nullptr : &*found;
}

// The share of a rule over text and vision tokens is not that of the vision tokens alone.
TEST(Moves, LeaveARuleOverTextAsItIs) {
  const ModelFacts model = small();
  for (const std::string rules : {R"([{"group": "all", "keep_share": 0.5, "by": "uniform"}])",
                                  R"([{"group": "vision_high_res", "keep_share": 0.5, "by": "uniform"},
            {"group": "all", "keep_share": 0.5, "by": "uniform"}])"}) {
    const Plan base = with_rules(rules, model);
    const Moves moves = moves_of(base, model, "uniform");
    EXPECT_EQ(names(moves[1]), (std::set<std::string>{"as it is", "attention off"})) << rules;
    EXPECT_NE(move_named(moves[0], "vision 25 %"), nullptr);
    const Plan even = evenly_kept(base, model, "uniform", 0.3);
    EXPECT_EQ(*even.find("decoder", 1), *base.find("decoder", 1)) << rules;
    EXPECT_NE(even.find("decoder", 0), nullptr);
  }
}

// A rule over `all` after one over text governs no text.
TEST(Moves, OfARuleThatGovernsWhatIsNotText) {
  const ModelFacts model = small();
  const Plan base = with_rules(R"([{"group": "text", "keep_share": 1, "by": "uniform"},
                                   {"group": "all", "keep_count": 9, "by": "random"}])",
                               model);
  const Moves moves = moves_of(base, model, "uniform");
  const Move* const move = move_named(moves[1], "vision 25 %");
  ASSERT_NE(move, nullptr);
  ASSERT_EQ(move->entry.rules.size(), 2u);
  EXPECT_EQ(move->entry.rules[0], base.layers[0].rules[0]);
  EXPECT_EQ(move->entry.rules[1].by, "random");
  EXPECT_EQ(move->entry.rules[1].keep_share, 0.25);
  EXPECT_FALSE(move->entry.rules[1].keep_count.has_value());
}

// A base plan over the tokens of tiles has no rule for those of the whole picture.
TEST(Moves, GiveEveryVisionTokenTheShare) {
  const ModelFacts model = small();
  const Plan base = with_rules(R"([{"group": "vision_high_res", "keep_share": 0.5, "by": "random"}])", model);
  const auto shares = [](const LayerPlan& layer) {
    std::vector<std::optional<double>> all;
    for (const RowKind kind : {RowKind::vision, RowKind::vision_high_res, RowKind::text}) {
      const Rule* const rule = governing_rule(layer, kind);
      all.push_back(rule ? rule->keep_share : std::nullopt);
    }
    return all;
  };
  const Moves moves = moves_of(base, model, "uniform");
  for (const double share : {0.5, 0.25, 0.0}) {
    const Move* const move = move_named(moves[1], concat("vision ", 100 * share, " %"));
    ASSERT_NE(move, nullptr) << share;
    EXPECT_EQ(shares(move->entry), (std::vector<std::optional<double>>{share, share, std::nullopt}));
    EXPECT_EQ(governing_rule(move->entry, RowKind::vision)->by, "uniform");
    EXPECT_EQ(governing_rule(move->entry, RowKind::vision_high_res)->by, "random");
    Combination combination(4, 0);
    combination[1] = static_cast<std::size_t>(move - moves[1].data());
    const Plan plan = combined(base, moves, combination, "tried");
    PromptShape prompt = prompt_of(model, 576, 40);
    prompt.vision_tokens += prompt.high_res_tokens = 1000;
    EXPECT_LT(cost(plan, model, prompt).total.decoder, cost(base, model, prompt).total.decoder) << share;
  }
  EXPECT_EQ(shares(*evenly_kept(base, model, "uniform", 0.3).find("decoder", 1)),
            (std::vector<std::optional<double>>{0.3, 0.3, std::nullopt}));
}

TEST(Moves, LeaveAnAttentionThatIsGone) {
  ModelFacts model = small();
  model.fixed = {{{"decoder", 2}, "self"}};
  const Plan base =
      parse_plan(parse_json(R"({"name": "eas", "layers": [{"layer": 2, "attention": "off"}]})", "test"), "test", model);
  const Moves moves = moves_of(base, model, "uniform");
  EXPECT_EQ(names(moves[2]), (std::set<std::string>{"as it is", "vision 50 %", "vision 25 %", "vision 0 %"}));
  for (const Move& move : moves[2]) EXPECT_FALSE(move.entry.self_attention);
}

TEST(Moves, EvenlyKeptPlansTreatLayersAlike) {
  const ModelFacts model = small();
  const Plan plan = evenly_kept({}, model, "uniform", 0.3);
  EXPECT_NO_THROW(validate(plan, model));
  ASSERT_EQ(plan.layers.size(), 4u);
  for (const LayerPlan& layer : plan.layers) {
    ASSERT_EQ(layer.rules.size(), 1u);
    EXPECT_EQ(layer.rules[0].keep_share, 0.3);
    EXPECT_EQ(layer.rules[0].by, "uniform");
  }
}

}  // namespace
}  // namespace lithe::plan
