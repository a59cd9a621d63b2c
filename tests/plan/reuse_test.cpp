#include "plan/reuse.h"

#include <gtest/gtest.h>

#include <iterator>
#include <string>
#include <vector>

#include "plan/parse.h"

namespace lithe::plan {
namespace {

constexpr Switches kNothing{false, false, false, false};

Rule rule(Group group, double share, const std::string& by, Switches others = kNothing) {
  return {.group = group, .keep_share = share, .by = by, .others = others};
}

Plan plan_with(const Rule& rule) {
  return {.name = "one rule", .layers = {{.layer = 2, .rules = {rule}}}};
}

/// "ttvvht": a letter a row.
std::vector<RowKind> kinds(const std::string& letters) {
  std::vector<RowKind> rows;
  for (const char letter : letters) {
    rows.push_back(letter == 'v' ? RowKind::vision : letter == 'h' ? RowKind::vision_high_res : RowKind::text);
  }
  return rows;
}

/// held: prompt and, after the stroke, decoded rows.
int64_t reused(const Plan& plan, std::string held, const std::string& prompt, int64_t equal) {
  const auto stroke = static_cast<int64_t>(held.find('|'));
  held.erase(static_cast<std::size_t>(stroke), 1);
  const std::vector<RowKind> before = kinds(held), after = kinds(prompt);
  return reusable_rows(plan, ModelFacts{}, {.held = before, .held_prompt = stroke, .prompt = after, .equal = equal});
}

TEST(Reuse, DenseKeepsWhatIsEqual) {
  EXPECT_EQ(reused({}, "ttvvtt|tt", "ttvvttttttt", 8), 8);
  EXPECT_EQ(reused({}, "ttvvtt|tt", "ttvvttttttt", 5), 5);
  EXPECT_EQ(reused({}, "ttvvtt|tt", "ttvvtttt", 8), 7) << "the last row gives the logits";
  EXPECT_EQ(reused({}, "tt|", "vv", 0), 0);
}

TEST(Reuse, AChoiceStaysWhileItsGroupIsTheSame) {
  for (const char* by : {"router", "random", "uniform", "similarity"}) {
    const Plan plan = plan_with(rule(Group::vision, 0.5, by));
    EXPECT_EQ(reused(plan, "ttvvtt|tt", "ttvvttttttt", 8), 8) << by;
    EXPECT_EQ(reused(plan, "ttvvtt|tt", "ttvvttttvvt", 8), 2) << by << ": a further picture";
    EXPECT_EQ(reused(plan, "ttvvttvv|tt", "ttvvtttttt", 5), 2) << by << ": a picture less";
    EXPECT_EQ(reused(plan, "tttt|tt", "ttttttvvt", 6), 6) << by << ": the first picture";
  }
}

TEST(Reuse, AChoiceAmongTextTakesDecodedRowsIn) {
  EXPECT_EQ(reused(plan_with(rule(Group::text, 0.5, "similarity")), "vvtt|tt", "vvttttt", 6), 2);
  EXPECT_EQ(reused(plan_with(rule(Group::all, 0.5, "similarity")), "vvtt|tt", "vvttttt", 6), 0);
}

TEST(Reuse, AttentionOfTheLastRowChoosesAnew) {
  const Plan fastv = plan_with(rule(Group::vision, 0.5, "attention"));
  EXPECT_EQ(reused(fastv, "ttvvtt|tt", "ttvvttttttt", 8), 2);
  EXPECT_EQ(reused(fastv, "tttt|tt", "tttttttt", 6), 6) << "nothing to choose from";
  Plan silent = fastv;
  silent.layers.insert(silent.layers.begin(),
                       {.layer = 1, .rules = {rule(Group::text, 0.0, "uniform", {false, true, true, true})}});
  EXPECT_EQ(reused(silent, "ttvvtt|tt", "ttvvttttttt", 8), 0) << "the last row does not ask";
}

TEST(Reuse, RowsTreatedAlikeAreParted) {
  const Switches frozen{false, true, true, false};
  EXPECT_EQ(reused(plan_with(rule(Group::vision, 0.0, "uniform", frozen)), "tvtt|tt", "tvttttvt", 6), 6);
  EXPECT_EQ(reused(plan_with(rule(Group::text, 0.0, "uniform", frozen)), "tvtt|tt", "tvttttvt", 6), 4);
  Rule gated = rule(Group::all, 1.0, "router");
  EXPECT_EQ(reused(plan_with(gated), "tvtt|tt", "tvttttvt", 6), 6) << "keeps everything, weighs nothing";
  gated.gate = Gate{};
  EXPECT_EQ(reused(plan_with(gated), "tvtt|tt", "tvttttvt", 6), 4) << "decoded rows have no weight";
  gated.gate->norm = WeightNorm::softmax;
  EXPECT_EQ(reused(plan_with(gated), "tvtt|tt", "tvttttvt", 6), 0) << "a weight is a share of the whole group";
}

TEST(Reuse, UncachedKeysAreSeenByTheirOwnPromptOnly) {
  const Switches uncached{true, true, false, true};
  EXPECT_EQ(reused(plan_with(rule(Group::vision, 0.5, "uniform", uncached)), "tvvtt|t", "tvvttttt", 6), 1);
  EXPECT_EQ(reused(plan_with(rule(Group::vision, 0.0, "uniform", uncached)), "tvvtt|t", "tvvttttt", 6), 1);
}

TEST(Reuse, ACutForOneRulePartsAnothersGroup) {
  Plan plan = plan_with(rule(Group::vision, 0.5, "uniform"));
  plan.layers.push_back({.layer = 3, .rules = {rule(Group::vision_high_res, 0.5, "attention")}});
  EXPECT_EQ(reused(plan, "tvvhhtt|t", "tvvhhtttt", 8), 1);
}

TEST(Reuse, AnEarlierRuleOwnsItsRows) {
  Plan plan = plan_with(rule(Group::vision, 1.0, "uniform"));
  plan.layers[0].rules.push_back(rule(Group::all, 0.5, "similarity"));
  EXPECT_EQ(reused(plan, "vvttvv|t", "vvttvvttt", 7), 2) << "`all` governs the text alone";
}

TEST(Reuse, RulesOfTheTowerDoNotCount) {
  Plan plan = plan_with(rule(Group::all, 0.5, "similarity"));
  plan.layers[0].stream = "vision_tower";
  EXPECT_EQ(reused(plan, "tvvtt|t", "tvvttttt", 6), 6);
}

TEST(Reuse, AdaptersOverThePromptKeepNothing) {
  const std::vector<RowKind> before = kinds("tttt"), after = kinds("tttttt");
  Turns turns{.held = before, .held_prompt = 3, .prompt = after, .equal = 4};
  EXPECT_EQ(reusable_rows({}, ModelFacts{}, turns), 4);
  turns.adapters_read_prompt = true;
  EXPECT_EQ(reusable_rows({}, ModelFacts{}, turns), 0);
}

TEST(Reuse, RatersAreFoundAmongAllVisionRows) {
  const Plan plan = plan_with(rule(Group::vision_high_res, 0.5, "text_attention"));
  const std::vector<RowKind> before = kinds("ttvvhhtt"), after = kinds("ttvvhhttttt");
  const Turns turns{.held = before, .held_prompt = 8, .prompt = after, .equal = 8};
  EXPECT_EQ(reusable_rows(plan, ModelFacts{}, turns), 2);
  EXPECT_EQ(reusable_rows(plan_with(rule(Group::vision_high_res, 0.5, "relevance")), ModelFacts{}, turns), 4);
  EXPECT_EQ(reusable_rows(plan_with(rule(Group::vision_high_res, 0.5, "diversity")), ModelFacts{}, turns), 8);
}

TEST(Reuse, TheScopeOfASelectorDecidesNotItsName) {
  const Plan plan = plan_with(rule(Group::vision, 0.5, "first-seen"));
  const std::vector<RowKind> before = kinds("ttvvtt"), after = kinds("ttvvttttt");
  const Turns turns{.held = before, .held_prompt = 6, .prompt = after, .equal = 6};
  ModelFacts model;
  model.selectors.push_back({"first-seen", Scope::group});
  EXPECT_EQ(reusable_rows(plan, model, turns), 6);
  model.selectors.back().scope = Scope::prompt;
  EXPECT_EQ(reusable_rows(plan, model, turns), 2);
}

// docs/serve.md shows this: a second question about a picture, and the question about another one.
TEST(Reuse, OfTheShippedPlans) {
  const ModelFacts model = shape_named("llava-1.5-7b");
  const std::vector<RowKind> first = kinds("ttttttvvvvvvvvtttt"), next = kinds("ttttttvvvvvvvvttttt");
  const auto of = [&](const std::string& name, int64_t equal) {
    return reusable_rows(load_plan(name, model), model,
                         {.held = first, .held_prompt = std::ssize(first), .prompt = next, .equal = equal});
  };
  struct Expected {
    std::vector<std::string> plans;
    int64_t same_picture, other_picture;  // rows, of which 6 come before the picture and 16 are equal
  };
  const Expected all[] = {
      {{"dense", "vtw", "vision-attention-skip"}, 16, 6},
      {{"p-mod", "shortv", "random", "uniform", "class-attention", "visionzip", "prumerge-plus", "pooled-picture",
        "divprune", "k-norm", "v2drop"},
       16,
       6},
      {{"fastv", "pyramiddrop", "text-attention", "kv-compression", "dart", "conditional-dpp", "late-entry"}, 6, 6},
  };
  for (const Expected& expected : all) {
    for (const std::string& name : expected.plans) {
      EXPECT_EQ(of(name, 16), expected.same_picture) << name;
      EXPECT_EQ(of(name, 6), expected.other_picture) << name;
    }
  }
  EXPECT_TRUE(leaves_keys_uncached(load_plan("kv-compression", model)));
  for (const char* name : {"dense", "p-mod", "fastv", "late-entry"})
    EXPECT_FALSE(leaves_keys_uncached(load_plan(name, model)));
}

}  // namespace
}  // namespace lithe::plan
