#include "plan/validate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "random_plan.h"
#include "refusal.h"

namespace lithe::plan {
namespace {

Rule good_rule() {
  return {.keep_share = 0.5, .by = "uniform"};
}

Plan with(const Rule& rule, int64_t layer = 2) {
  return {.name = "mine", .layers = {{.layer = layer, .rules = {rule}}}};
}

void refused(const Plan& plan, const char* sentence, const ModelFacts& model = small_model(4)) {
  EXPECT_REFUSED(validate(plan, model), Fault::bad_request, sentence);
}

TEST(Validate, AcceptsWhatCanRun) {
  EXPECT_NO_THROW(validate({}, small_model(4)));
  EXPECT_NO_THROW(validate(with(good_rule()), small_model(4)));
  RandomPlans random(3);
  for (int round = 0; round < 50; ++round) EXPECT_NO_THROW(validate(random.plan(4), small_model(4)));
}

TEST(Validate, RefusesSitesThatAreNotThere) {
  refused({.name = "mine", .layers = {{.layer = 4}}},
          "plan 'mine': decoder layer 4 does not exist; the stream has 4 layers, 0 to 3");
  refused({.name = "mine", .layers = {{.layer = -1}}}, "decoder layer -1 does not exist");
  refused({.layers = {{.stream = "sound", .layer = 0}}}, "sound layer 0: the model 'small' has no stream 'sound'");
  refused({.layers = {{.layer = 1}, {.layer = 1}}}, "decoder layer 1 is listed twice");
  refused({.layers = {{.layer = 2}, {.layer = 1}}}, "decoder layer 1 follows decoder layer 2");
  refused({.layers = {{.layer = 2, .cross_attention = false}}},
          "decoder layer 2: there is no cross-attention to turn off");
}

TEST(Validate, KnowsFurtherStreams) {
  ModelFacts model = small_model(4);
  model.streams["text"] = {.layers = 6, .cross_attention = true};
  EXPECT_NO_THROW(validate({.layers = {{.stream = "text", .layer = 5, .cross_attention = false}}}, model));
  refused({.layers = {{.stream = "text", .layer = 6}}}, "text layer 6 does not exist", model);
}

TEST(Validate, RefusesRulesThatContradictThemselves) {
  Rule rule = good_rule();
  rule.keep_count = 3;
  refused(with(rule), "decoder layer 2, rule 1: a rule takes exactly one of keep_share and keep_count");
  rule.keep_share = rule.keep_count = std::nullopt;
  refused(with(rule), "exactly one of keep_share and keep_count");
  for (const double share : {-0.1, 1.01, std::numeric_limits<double>::quiet_NaN()}) {
    rule.keep_share = share;
    refused(with(rule), "keep_share is ");
  }
  refused(with({.keep_count = -2, .by = "uniform"}), "keep_count is -2, expected 0 or more");
  rule = good_rule();
  rule.others = {.query = false, .key_value = false, .cache = true, .feed_forward = false};
  refused(with(rule), "others.cache is true while others.key_value is false");
  rule = {.group = Group::all, .keep_share = 0.5, .by = "uniform", .others_return = false};
  refused(with(rule), "others_return is false for the group 'all'");
  rule = good_rule();
  rule.seed = 4;
  refused(with(rule), "a seed is for the selector random, not for uniform");
  Plan plan = with(good_rule());
  plan.layers[0].rules.assign(17, good_rule());
  refused(plan, "decoder layer 2: 17 rules, at most 16 are allowed");
}

TEST(Validate, RefusesSelectorsThatFindNothingToRead) {
  const std::string where = "decoder layer 0, rule 1: ";
  for (const char* by : {"key_norm", "duplication"})
    refused(with({.keep_share = 0.5, .by = by}, 0),
            (where + "tokens are to be chosen by '" + by + "', which reads keys, but no earlier layer").c_str());
  refused(with({.keep_share = 0.5, .by = "text_attention"}, 0), "no earlier layer of the stream runs its attention");
  for (const char* by : {"text_attention", "relevance", "duplication"}) {
    refused(with({.group = Group::all, .keep_share = 0.5, .by = by}),
            concat("the selector '", by, "' chooses vision tokens, not the group 'all'").c_str());
  }
  refused(with({.keep_share = 0.5, .by = "variation"}, 0), "compares two layers, but no layer comes before");
  for (const char* by : {"key_norm", "duplication", "text_attention", "variation"})
    EXPECT_NO_THROW(validate(with({.keep_share = 0.5, .by = by}, 1), small_model(4))) << by;
  for (const char* by : {"diversity", "relevance"})
    EXPECT_NO_THROW(validate(with({.keep_share = 0.5, .by = by}, 0), small_model(4))) << by;
}

TEST(Validate, RefusesSelectorsThatTheVisionTowerCannotServe) {
  ModelFacts model = shape_named("llava-1.5-7b");
  const Rule zip{.keep_share = 0.5, .by = "visionzip", .others_return = false};
  EXPECT_NO_THROW(validate(with(zip, 0), model));
  refused(with(zip, 0), "needs a vision tower that gives its patches");
  const auto refused_of = [&](const Rule& rule, int64_t layer, const char* sentence) {
    refused(with(rule, layer), sentence, model);
  };
  refused_of(zip, 1, "so it is for layer 0");
  Rule rule = zip;
  rule.others_return = true;
  refused_of(rule, 0, "so it is for layer 0, and the other tokens run nothing and are dropped");
  rule = zip;
  rule.others.feed_forward = true;
  refused_of(rule, 0, "run nothing and are dropped");
  rule = {.keep_count = 5, .by = "prumerge", .others_return = false};
  refused_of(rule, 0, "chooses in each picture; give a keep_share");
  rule = {.group = Group::all, .keep_share = 0.5, .by = "class_attention"};
  refused_of(rule, 0, "chooses vision tokens, not the group 'all'");
  rule = {.keep_share = 0.5, .by = "class_attention"};
  for (const int64_t layer : {0, 3}) EXPECT_NO_THROW(validate(with(rule, layer), model));
  refused({.layers = {{.stream = "vision_tower", .layer = 3, .rules = {rule}}}}, "'class_attention' is for the decoder",
          model);
  refused({.layers = {{.layer = 0, .rules = {zip}}, {.layer = 3, .rules = {rule}}}},
          "decoder layer 3: tokens are to be chosen by 'class_attention' here and by 'visionzip' before", model);
  model.tower->tokens = model.tower->patches;  // SigLIP
  refused_of(zip, 0, "but this tower has none; use diversity or pooled");
  rule = {.keep_share = 0.5, .by = "pooled", .others_return = false};
  EXPECT_NO_THROW(validate(with(rule, 0), model));
  refused({.layers = {{.layer = 0, .rules = {rule}}}}, "needs a vision tower that gives its patches",
          shape_named("lavin-7b"));
}

TEST(Validate, TakesTheOracleForVisionTokensOfTheDecoder) {
  const ModelFacts model = shape_named("llava-1.5-7b");
  const Rule given{.keep_share = 0.5, .by = "given"};
  for (const int64_t layer : {0, 3}) EXPECT_NO_THROW(validate(with(given, layer), model));
  refused(with({.group = Group::all, .keep_share = 0.5, .by = "given"}), "chooses vision tokens, not the group 'all'");
  refused({.layers = {{.stream = "vision_tower", .layer = 3, .rules = {given}}}}, "'given' is for the decoder", model);
  refused({.layers = {{.layer = 0, .rules = {given}},
                      {.layer = 3, .rules = {{.keep_share = 0.5, .by = "class_attention"}}}}},
          "chosen by 'class_attention' here and by 'given' before", model);
}

TEST(Validate, RefusesSelectorsThatCannotDecide) {
  refused(with({.keep_share = 0.5, .by = "magic"}), "no selector is called 'magic'; there are router, random");
  refused(with({.keep_share = 0.5, .by = "attention"}, 0),
          "decoder layer 0, rule 1: tokens are to be chosen by attention, but no earlier layer");
  Plan plan = with({.keep_share = 0.5, .by = "attention"}, 1);
  EXPECT_NO_THROW(validate(plan, small_model(4)));
  plan.layers.insert(plan.layers.begin(), LayerPlan{.layer = 0, .self_attention = false});
  refused(plan, "no earlier layer of the stream runs its attention");
}

TEST(Validate, AsksForRoutersThatAreThere) {
  ModelFacts model = small_model(4);
  model.routers_everywhere = false;
  model.routers = {{"decoder", 3}};
  EXPECT_NO_THROW(validate(with({.keep_share = 0.5}, 3), model));
  refused(with({.keep_share = 0.5}, 2),
          "decoder layer 2, rule 1: tokens are to be chosen by a router, but the weights of 'small'", model);
}

TEST(Validate, RefusesAGateWithoutARouter) {
  refused(with({.keep_share = 0.5, .by = "random", .gate = Gate{}}),
          "a gate needs router weights, but tokens are chosen by random");
  refused(with({.keep_share = 0.5, .gate = Gate{.scale = INFINITY}}), "the gate's scale and bias must be finite");
}

TEST(Validate, KeepsFixedSitesOff) {
  ModelFacts model = small_model(4);
  FixedSite fixed;
  fixed.site.layer = 3;
  model.fixed.push_back(fixed);
  refused({}, "decoder layer 3: its self-attention has no weights in 'small'; turn it off there, {\"layer\": 3, ",
          model);
  refused({.layers = {{.layer = 3}}}, "decoder layer 3: its self-attention has no weights", model);
  EXPECT_NO_THROW(validate({.layers = {{.layer = 3, .self_attention = false}}}, model));
}

TEST(Facts, AreBounded) {
  ModelFacts model = small_model(4);
  model.layers = 5000;
  EXPECT_REFUSED(check(model), Fault::bad_file,
                 "model 'small': the number of decoder layers is 5000, expected 0 to 4096");
  model = small_model(4);
  model.heads = model.head_dim = int64_t{1} << 20;
  EXPECT_REFUSED(check(model), Fault::bad_file, "the width of all heads");
  model = small_model(4);
  model.tower = TowerFacts{.width = -1};
  EXPECT_REFUSED(check(model), Fault::bad_file, "a size of the vision tower is -1");
  EXPECT_REFUSED(shape_named("llava-2"), Fault::bad_request,
                 "no shape is called 'llava-2'; there are lavin-7b, llava-1.5-13b");
  for (const std::string& name : shape_names()) EXPECT_EQ(shape_named(name).name, name);
}

}  // namespace
}  // namespace lithe::plan
