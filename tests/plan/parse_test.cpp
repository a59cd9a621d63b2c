#include "plan/parse.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "random_plan.h"
#include "refusal.h"

namespace lithe::plan {
namespace {

Plan parse(const std::string& text, const ModelFacts& model = shape_named("llava-1.5-7b")) {
  return parse_plan(parse_json(text, "plan.json"), "plan.json", model);
}

std::vector<int64_t> layers_of(const Plan& plan) {
  std::vector<int64_t> layers;
  for (const LayerPlan& entry : plan.layers) layers.push_back(entry.layer);
  return layers;
}

TEST(Parse, ReadsTheExpandedForm) {
  const Plan plan = parse(R"({"format": "lithe-plan/1", "name": "p-mod",
    "layers": [{"site": {"stream": "decoder", "layer": 12}, "attention": {"self": "on"},
      "rules": [{"group": "vision", "keep_share": 0.674, "by": "router", "gate": "tanh_norm",
                 "others": {"query": false, "key_value": false, "cache": false, "feed_forward": false},
                 "others_return": true}]}]})");
  EXPECT_EQ(plan.name, "p-mod");
  ASSERT_EQ(plan.layers.size(), 1u);
  const LayerPlan* entry = plan.find("decoder", 12);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(plan.find("decoder", 11), nullptr);
  EXPECT_EQ(plan.find("vision_tower", 12), nullptr);
  EXPECT_TRUE(entry->self_attention);
  EXPECT_EQ(entry->rules, (std::vector<Rule>{{.keep_share = 0.674, .gate = Gate{}}}));
}

TEST(Parse, FillsDefaults) {
  const Plan plan = parse(R"({"layers": [
    {"layer": 9, "attention": "off"},
    {"layer": 3, "rules": [{"group": "vision", "keep_share": 0, "others": {"key_value": true}},
                           {"group": "text", "keep_count": 4, "by": "router",
                            "gate": {"norm": "softmax", "scale": 2, "bias": 0.5}}]}]})");
  EXPECT_EQ(layers_of(plan), (std::vector<int64_t>{3, 9}));
  const Rule& first = plan.layers[0].rules[0];
  EXPECT_EQ(first.others, (Switches{false, true, true, false})) << "cache follows key_value";
  EXPECT_EQ(first.by, "uniform") << "nothing to choose, so no selector needs to be named";
  EXPECT_TRUE(first.others_return);
  EXPECT_EQ(plan.layers[0].rules[1].gate, (Gate{WeightNorm::softmax, 2.0, 0.5}));
  EXPECT_EQ(plan.layers[0].rules[1].keep_count, 4);
  EXPECT_FALSE(plan.layers[1].self_attention);
}

TEST(Parse, ExpandsPmodForTheDepthOfTheModel) {
  const Plan plan =
      parse(R"({"method": "p-mod", "shift": 0.5, "untouched_above": 0.85, "floor": 0.15})", small_model(12));
  EXPECT_EQ(layers_of(plan), (std::vector<int64_t>{3, 4, 5, 6, 7, 8, 9, 10, 11})) << "the divisor is L - 1";
  EXPECT_DOUBLE_EQ(*plan.layers.back().rules[0].keep_share, 0.15);
  const Plan published =
      parse(R"({"method": "p-mod", "schedule": "deep_all", "share": 0.3, "gate": "none"})", small_model(5));
  EXPECT_EQ(layers_of(published), (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(published.layers[0].rules[0].gate, std::nullopt);
}

TEST(Parse, ExpandsTheOtherMethods) {
  EXPECT_TRUE(parse(R"({"method": "dense"})").layers.empty());
  const Plan eas = parse(R"({"method": "eas", "layers": [22, 19, 21]})");
  EXPECT_EQ(layers_of(eas), (std::vector<int64_t>{19, 21, 22}));
  EXPECT_FALSE(eas.layers[0].self_attention);
  const Plan fastv = parse(R"({"method": "fastv", "layer": 3, "keep_count": 64})");
  EXPECT_EQ(layers_of(fastv), (std::vector<int64_t>{3}));
  EXPECT_EQ(fastv.layers[0].rules, (std::vector<Rule>{{.keep_count = 64, .by = "attention", .others_return = false}}));
  EXPECT_EQ(layers_of(parse(R"({"method": "pyramiddrop"})")), (std::vector<int64_t>{8, 16, 24}));
  const Plan shortv = parse(R"({"method": "shortv", "layers": [30, 31]})");
  EXPECT_EQ(shortv.layers[1].rules[0].others, (Switches{false, true, true, false}));
  const Plan skip = parse(R"({"method": "vision-attention-skip", "from": 31})");
  EXPECT_EQ(skip.layers[0].rules[0].others, (Switches{false, true, true, true}));
  const Plan kv = parse(R"({"method": "kv-compression", "layers": [4], "keep_share": 0.25})");
  EXPECT_EQ(kv.layers[0].rules[0].others, (Switches{true, true, false, true}));
  EXPECT_EQ(parse(R"({"method": "random", "seed": 18446744073709551615})").layers[0].rules[0].seed, ~uint64_t{0});
}

TEST(Parse, CombinesLayerByLayer) {
  const Plan plan = parse(R"([{"method": "shortv", "layers": [5]}, {"method": "eas", "layers": [5, 7]},
    {"layers": [{"layer": 5, "rules": [{"group": "text", "keep_share": 1}]}]}])");
  EXPECT_EQ(plan.name, "shortv+eas+plan");
  EXPECT_EQ(layers_of(plan), (std::vector<int64_t>{5, 7}));
  EXPECT_FALSE(plan.layers[0].self_attention) << "off in one is off in the sum";
  ASSERT_EQ(plan.layers[0].rules.size(), 2u);
  EXPECT_EQ(plan.layers[0].rules[0].group, Group::vision) << "rules append in order";
  EXPECT_EQ(plan.layers[0].rules[1].group, Group::text);
  const Plan named = parse(R"({"name": "mine", "combine": ["p-mod", {"method": "eas", "layers": [2]}]})");
  EXPECT_EQ(named.name, "mine");
  EXPECT_EQ(named.layers.size(), 25u);
}

TEST(Parse, WritesWhatItReads) {
  RandomPlans random(7);
  for (int round = 0; round < 200; ++round) {
    const Plan plan = random.plan(1 + random.below(6));
    const Json json = to_json(plan);
    const Json reread = parse_json(json.dump(), "written");
    ASSERT_EQ(parse_plan(reread, "written", small_model(6)), plan) << json.dump();
  }
}

TEST(Parse, NamedPlansFitAModelOfThirtyTwoLayers) {
  const std::vector<std::string> expected{"class-attention",
                                          "conditional-dpp",
                                          "dart",
                                          "dense",
                                          "divprune",
                                          "eas",
                                          "eas-12",
                                          "fastv",
                                          "k-norm",
                                          "kv-compression",
                                          "late-entry",
                                          "p-mod",
                                          "p-mod+eas",
                                          "pooled-picture",
                                          "prumerge-plus",
                                          "pyramiddrop",
                                          "random",
                                          "shortv",
                                          "text-attention",
                                          "uniform",
                                          "v2drop",
                                          "vision-attention-skip",
                                          "visionzip",
                                          "vtw"};
  EXPECT_EQ(builtin_plan_names(), expected);
  const ModelFacts model = shape_named("llava-1.5-7b");
  for (const std::string& name : builtin_plan_names()) {
    SCOPED_TRACE(name);
    const Plan plan = load_plan(name, model);
    EXPECT_EQ(plan.name, name);
    EXPECT_EQ(plan.layers.empty(), name == "dense");
    EXPECT_EQ(parse_plan(to_json(plan), name, model), plan);
  }
}

TEST(Load, ReadsAFileAndNamesWhatExists) {
  const auto path = std::filesystem::temp_directory_path() / "lithe_parse_test_plan.json";
  std::ofstream(path) << R"({"method": "eas", "layers": [1]})";
  EXPECT_EQ(load_plan(path.string(), small_model(4)).layers.size(), 1u);
  std::filesystem::remove(path);
  EXPECT_REFUSED(load_plan("p-mud", small_model(4)), Fault::bad_request,
                 "no plan or file is called 'p-mud'; did you mean p-mod?");
}

TEST(Parse, RefusesWhatIsNoPlan) {
  const std::vector<std::pair<const char*, const char*>> cases{
      {"3", "plan.json: expected a JSON object, got number"},
      {"{}", "expected 'method', 'combine', or 'layers'"},
      {R"({"layers": 3})", "expected 'method', 'combine', or 'layers'"},
      {R"({"format": "lithe-plan/2", "layers": []})", "the format is not lithe-plan/1"},
      {R"({"layers": [], "rules": []})", "the key \"rules\" is not known; expected format, name, layers"},
      {R"({"layers": [{"layer": 1, "atention": "off"}]})", "entry 1: the key \"atention\" is not known"},
      {R"({"layers": [{"attention": "off"}]})", "entry 1: expected either 'layer' or 'site'"},
      {R"({"layers": [{"layer": 1, "site": {"layer": 1}}]})", "expected either 'layer' or 'site'"},
      {R"({"layers": [{"site": {"stream": "decoder"}}]})", "site: the key 'layer' is missing"},
      {R"({"layers": [{"layer": 18446744073709551615}]})", "'layer' must be an integer from 0 to 4096"},
      {R"({"layers": [{"layer": 1.5}]})", "'layer' must be an integer from 0 to 4096, got 1.5"},
      {R"({"layers": [{"layer": 1}, {"layer": 1}]})", "entry 2: decoder layer 1 is listed twice"},
      {R"({"layers": [{"layer": 1, "attention": "maybe"}]})", "'attention' must be \"on\" or \"off\""},
      {R"({"layers": [{"layer": 1, "attention": {"own": "off"}}]})",
       "the key \"own\" is not known; expected self, cross"},
      {R"({"layers": [{"layer": 1, "rules": {}}]})", "'rules' must be a list of at most 16 rules"},
      {R"({"layers": [{"layer": 1, "rules": [{"keep_share": 1}]}]})", "rule 1: the key 'group' is missing"},
      {R"({"layers": [{"layer": 1, "rules": [{"group": "sound"}]}]})", "the group 'sound' is not known"},
      {R"({"layers": [{"layer": 1, "rules": [{"group": "vision", "keep_share": 0.5}]}]})", "the key 'by' is missing"},
      {R"({"layers": [{"layer": 1, "rules": [{"group": "vision", "keep": 0.5}]}]})", "the key \"keep\" is not known"},
      {R"({"layers": [{"layer": 1, "rules": [{"group": "vision", "keep_count": -1}]}]})",
       "'keep_count' must be an integer"},
      {R"({"layers": [{"layer": 1, "rules": [{"group": "vision", "keep_share": "half"}]}]})",
       "'keep_share' must be a number"},
      {R"({"layers": [{"layer": 1, "rules": [{"group": "vision", "gate": "tanh"}]}]})", "'gate' must be \"tanh_norm\""},
      {R"({"layers": [{"layer": 1, "rules": [{"group": "vision", "gate": {"norm": "relu"}}]}]})",
       "the norm 'relu' is not known"},
      {R"({"layers": [{"layer": 1, "rules": [{"group": "vision", "gate": {"norm": "tanh"}}]}]})",
       "the key 'scale' is missing"},
      {R"({"layers": [{"layer": 1, "rules": [{"group": "vision", "seed": -4}]}]})",
       "'seed' must be an integer of 0 or more"},
      {R"({"layers": [{"layer": 1, "rules": [{"group": "vision", "others": {"norm": true}}]}]})",
       "the key \"norm\" is not known"},
      {R"({"method": "magic"})", "the method 'magic' is not known; expected dense, p-mod"},
      {R"({"method": "eas"})", "eas: the key 'layers' is missing"},
      {R"({"method": "eas", "layers": [3, 3]})", "layer 3 is listed twice"},
      {R"({"method": "eas", "layers": [3], "attention": "none"})", "the attention 'none' is not known"},
      {R"({"method": "p-mod", "ratio": 1})", "p-mod: the key \"ratio\" is not known"},
      {R"({"method": "p-mod", "share": 0.5})", "the schedule 'shiftedcos' does not take 'share'"},
      {R"({"method": "p-mod", "schedule": "interleave", "floor": 0.5})",
       "the schedule 'interleave' does not take 'floor'"},
      {R"({"method": "p-mod", "schedule": "waves"})", "the schedule 'waves' is not known"},
      {R"({"method": "p-mod", "divisor": 0})", "'divisor' must be an integer from 1"},
      {R"({"method": "shortv", "layers": [1], "from": 2})", "'layers' and 'from' exclude each other"},
      {R"([])", "expected a list of plans to combine"},
      {R"({"combine": "p-mod"})", "expected a list of plans to combine"},
      {R"(["no such plan"])", "part 1: no built-in plan is called 'no such plan'"},
      {R"([[[[[["dense"]]]]]])", "combined more than 4 levels deep"},
  };
  for (const auto& [text, sentence] : cases) {
    SCOPED_TRACE(text);
    EXPECT_REFUSED(parse(text), Fault::bad_file, sentence);
  }
  Json many = Json::array();
  for (int i = 0; i < 40; ++i) many.push_back("dense");
  EXPECT_REFUSED(parse_plan(many, "plan.json", small_model(2)), Fault::bad_file, "more than 32 plans are combined");
}

}  // namespace
}  // namespace lithe::plan
