#include "plan/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "plan/parse.h"
#include "plan/rows.h"
#include "refusal.h"

namespace lithe::plan {
namespace {

Json golden() {
  return read_json_file(LITHE_TEST_DATA "/golden/schedule.json");
}

Json public_config() {
  return parse_json(R"({"num_hidden_layers": 12, "mod_target_layers": "shiftedcos_decay_0.55_0.40",
    "mod_router_factor": 0.1, "mod_weight_norm": "tanh_0.2_1", "mod_target_token_type": "vision_all",
    "mod_target_layer_indices": [5, 6, 7, 8, 9, 10, 11]})",
                    "config.json");
}

Plan plan_of(const Json& config) {
  return from_public_pmod_config(JsonView(config, "config.json"));
}

TEST(Schedule, EqualsThePublishedRatiosAndCounts) {
  const Json data = golden();
  ASSERT_GE(data["schedules"].size(), 16u);
  for (const Json& entry : data["schedules"]) {
    const std::string name = entry["mod_target_layers"];
    const int64_t layers = entry["num_hidden_layers"];
    SCOPED_TRACE(name + ", " + std::to_string(layers) + " layers");
    const auto kept = shares(parse_schedule(name, entry["mod_router_factor"], 31, "golden"), layers);
    ASSERT_EQ(kept.size(), entry["ratio"].size());
    for (std::size_t layer = 0; layer < kept.size(); ++layer) {
      const Json& ratio = entry["ratio"][layer];
      ASSERT_EQ(kept[layer].has_value(), !ratio.is_null()) << layer;
      if (!kept[layer]) continue;
      EXPECT_DOUBLE_EQ(*kept[layer], ratio.get<double>()) << layer;
      const Rule rule{.keep_share = kept[layer]};
      for (const auto& [n, k] : entry["k"].items()) {
        // If a ratio is above 1, the reference asks top-k for more rows than exist; such plans are refused.
        if (*kept[layer] > 1) continue;
        EXPECT_EQ(kept_rows(rule, std::stoll(n)), k[layer].get<int64_t>()) << n;
      }
    }
  }
}

TEST(Schedule, TouchesALayerThatLiesOnTheLimit) {
  const auto kept = shares(parse_schedule("shiftedlinear_decay_0.60_0.52", 0.1, 31, "golden"), 3);
  EXPECT_EQ(kept[0], 0.6);
  EXPECT_DOUBLE_EQ(kept[1].value(), 0.567741935483871);
}

TEST(Schedule, CountsInFloat32) {
  const Json data = golden();
  for (const Json& entry : data["k_rounding"]["examples_where_double_differs"]) {
    const Rule rule{.keep_share = entry["ratio"].get<double>()};
    EXPECT_EQ(kept_rows(rule, entry["n"]), entry["k"].get<int64_t>());
  }
}

TEST(Schedule, KeepsNoneAllOrAFixedCount) {
  EXPECT_EQ(kept_rows({.keep_share = 0.0}, 10), 0);
  EXPECT_EQ(kept_rows({.keep_share = 1.0}, (1 << 24) + 1), (1 << 24) + 1);
  EXPECT_EQ(kept_rows({.keep_share = 0.99}, 0), 0);
  EXPECT_EQ(kept_rows({.keep_count = 7}, 5), 5);
  EXPECT_EQ(kept_rows({.keep_count = 3}, 5), 3);
}

TEST(Schedule, SpreadsRowsEvenlyAndAscending) {
  EXPECT_EQ(spread_rows(6, 3), (std::vector<int64_t>{1, 3, 5}));
  EXPECT_EQ(spread_rows(4, 4), (std::vector<int64_t>{0, 1, 2, 3}));
  EXPECT_TRUE(spread_rows(9, 0).empty());
}

TEST(Schedule, RefusesUnknownNames) {
  for (const char* name :
       {"", "shiftedcos", "shiftedcos_decay_1_0.15", "shiftedcos_decay_0.85", "cos_decay_0.85_0.15",
        "shiftedcos_decay_0.85_-0.15", "shiftedcos_decay_.85_0.15", "deep", "shiftedcos_decay_0.8e1_0.1"}) {
    EXPECT_REFUSED(parse_schedule(name, 0.5, 31, "config.json"), Fault::bad_file,
                   std::string("config.json: the schedule '") + name + "' is not known");
  }
  EXPECT_REFUSED(parse_schedule(std::string(1 << 20, '9'), 0.5, 31, "x"), Fault::bad_file, "is not known");
}

TEST(WeightNorm, ReadsPublishedNames) {
  const auto norm = [](const char* name) { return parse_weight_norm(name, "config.json"); };
  EXPECT_EQ(norm("tanh_0.2_1"), (Gate{WeightNorm::tanh, 0.2, 1.0}));
  EXPECT_EQ(norm("tanh_0.3_-1"), (Gate{WeightNorm::tanh, 0.3, -1.0}));
  EXPECT_EQ(norm("softmax_2.0_0.5"), (Gate{WeightNorm::softmax, 2.0, 0.5}));
  EXPECT_EQ(norm("none_0.5_1"), (Gate{WeightNorm::identity, 0.5, 1.0}));
  EXPECT_EQ(norm("sigmoid"), (Gate{WeightNorm::sigmoid, 1.0, 1.0}));
  EXPECT_EQ(norm("tanh"), (Gate{WeightNorm::tanh, 1.0, 1.0}));
  for (const char* name : {"", "relu", "tanh_", "tanh_0.2", "tanh_-0.2_1", "tanh_0.2_1_3", "tanh_x_1", "_0.2_1"}) {
    EXPECT_REFUSED(norm(name), Fault::bad_file, "the weight norm");
  }
}

TEST(PublicConfig, GivesThePlanOfThePublication) {
  const Plan plan = plan_of(public_config());
  ASSERT_EQ(plan.layers.size(), 7u);
  EXPECT_EQ(plan.layers.front().layer, 5);
  const Rule& rule = plan.layers.front().rules.at(0);
  EXPECT_NEAR(*rule.keep_share, 0.5371733081, 1e-9);
  EXPECT_EQ(rule.group, Group::vision);
  EXPECT_EQ(rule.by, "router");
  EXPECT_EQ(rule.gate, Gate{});
  EXPECT_FALSE(rule.others.any());
  EXPECT_TRUE(rule.others_return);
  EXPECT_EQ(*plan.layers.back().rules.at(0).keep_share, 0.4);
}

TEST(PublicConfig, ReadsTargets) {
  Json config = public_config();
  config["mod_target_token_type"] = "vision_hr";
  EXPECT_EQ(plan_of(config).layers[0].rules[0].group, Group::vision_high_res);
  config["mod_target_token_type"] = "all";
  EXPECT_EQ(plan_of(config).layers[0].rules[0].group, Group::all);
  config["mod_target_token_type"] = "text";
  EXPECT_REFUSED(plan_of(config), Fault::bad_file, "config.json: mod_target_token_type 'text' is not known");
}

TEST(PublicConfig, RefusesWhatContradictsItself) {
  Json config = public_config();
  config["mod_target_layer_indices"].erase(0);
  EXPECT_REFUSED(plan_of(config), Fault::bad_file, "mod_target_layer_indices does not list the 7 layers");
  config = public_config();
  config["num_hidden_layers"] = 1 << 30;
  EXPECT_REFUSED(plan_of(config), Fault::bad_file, "num_hidden_layers is 1073741824");
  config = public_config();
  config.erase("mod_weight_norm");
  EXPECT_REFUSED(plan_of(config), Fault::bad_file, "the key 'mod_weight_norm' is missing");
}

TEST(PublicConfig, EqualsTheShorthandAtThirtyTwoLayers) {
  Json config = public_config();
  config["num_hidden_layers"] = 32;
  config["mod_target_layers"] = "shiftedcos_decay_0.85_0.15";
  config["mod_router_factor"] = 0.5;
  config.erase("mod_target_layer_indices");
  EXPECT_EQ(plan_of(config), load_plan("p-mod", shape_named("llava-1.5-7b")));
}

}  // namespace
}  // namespace lithe::plan
