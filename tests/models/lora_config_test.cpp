// Which modules an adapter_config.json means, as PEFT's check_target_module_exists and get_pattern_key have it.
#include "checkpoints/read/lora_config.h"

#include "support.h"

namespace lithe::models {
namespace {

const char* const kQuery = "model.language_model.layers.0.self_attn.q_proj";
const char* const kUp = "model.language_model.layers.11.mlp.up_proj";
const char* const kTower = "model.vision_tower.vision_model.encoder.layers.1.self_attn.q_proj";

LoraConfig read(const Json& keys) {
  Json json = {{"peft_type", "LORA"}, {"r", 4}, {"lora_alpha", 8}};
  json.update(keys);
  return LoraConfig::read(JsonView(json, "adapter_config.json"));
}

bool adapts(const Json& keys, const std::string& module) {
  return read(keys).key_against(module) == nullptr;
}

TEST(LoraConfig, RanksAndScalesByPattern) {
  const LoraConfig config = read({{"rank_pattern",
                                   {{".*layers\\.0.*q_proj", 8},
                                    {"^model\\.language_model\\.layers\\.11\\.mlp\\.up_proj", 2},
                                    {"(?:k|v)_proj", 16},
                                    {"q_proj", 32}}},
                                  {"alpha_pattern", {{"layers.[0-9]+.mlp.(up|down)_proj", 3.0}}}});
  EXPECT_EQ(config.rank_of(kQuery), 8);  // the first that fits
  EXPECT_EQ(config.rank_of(kTower), 32);
  EXPECT_EQ(config.rank_of(kUp), 2);
  EXPECT_EQ(config.rank_of("model.layers.3.self_attn.v_proj"), 16);
  EXPECT_EQ(config.rank_of("model.layers.3.self_attn.xv_proj"), 4);  // a pattern begins after a point
  EXPECT_EQ(config.rank_of("model.layers.3.self_attn.v_proj.inner"), 4);
  EXPECT_EQ(config.scale_of(kUp), 3.0 / 2);
  EXPECT_EQ(config.scale_of(kQuery), 1);
}

TEST(LoraConfig, TargetsAreEndsOrAPatternOfTheWholeName) {
  EXPECT_TRUE(adapts({{"target_modules", "ALL-linear"}}, kUp));
  EXPECT_TRUE(adapts({{"target_modules", nullptr}}, kUp));
  EXPECT_TRUE(adapts({{"target_modules", {"q_proj"}}}, kQuery));
  EXPECT_FALSE(adapts({{"target_modules", {"_proj"}}}, kQuery));
  EXPECT_TRUE(adapts({{"target_modules", ".*\\.(q|v)_proj"}}, kQuery));
  EXPECT_FALSE(adapts({{"target_modules", "(q|v)_proj"}}, kQuery));
  EXPECT_FALSE(adapts({{"target_modules", ".*q_pro"}}, kQuery));
  // As LLaMA-Factory writes it to leave the tower alone.
  const Json pattern = {{"target_modules", "^(?!.*(?:multi_modal_projector|vision_tower)).*(?:q_proj|up_proj).*"}};
  EXPECT_TRUE(adapts(pattern, kQuery));
  EXPECT_FALSE(adapts(pattern, kTower));
}

TEST(LoraConfig, ExcludedModules) {
  EXPECT_FALSE(adapts({{"exclude_modules", {"q_proj"}}}, kQuery));
  EXPECT_TRUE(adapts({{"exclude_modules", {"up_proj"}}}, kQuery));
  EXPECT_FALSE(adapts({{"exclude_modules", ".*vision_tower.*"}}, kTower));
  EXPECT_TRUE(adapts({{"exclude_modules", "vision_tower"}}, kTower));
  EXPECT_STREQ(read({{"exclude_modules", {"q_proj"}}}).key_against(kQuery), "exclude_modules");
}

TEST(LoraConfig, LayersByNumber) {
  const Json layers = {{"target_modules", {"q_proj", "up_proj"}}, {"layers_to_transform", {1, 11}}};
  EXPECT_FALSE(adapts(layers, kQuery));
  EXPECT_TRUE(adapts(layers, kUp));
  EXPECT_TRUE(adapts(layers, kTower));
  EXPECT_FALSE(adapts(layers, "q_proj"));
  EXPECT_FALSE(adapts(layers, "layers.1.q_proj"));  // PEFT asks for a name before the one with the number
  EXPECT_TRUE(adapts({{"target_modules", {"up_proj"}}, {"layers_to_transform", 11}}, kUp));
  EXPECT_TRUE(adapts({{"target_modules", ".*q_proj"}, {"layers_to_transform", {5}}}, kQuery));  // beside lists only
  Json patterns = layers;
  patterns["layers_pattern"] = "encoder.layers";
  EXPECT_TRUE(adapts(patterns, kTower));
  EXPECT_FALSE(adapts(patterns, kUp));
  patterns["layers_pattern"] = {"h", "lay.rs"};
  EXPECT_TRUE(adapts(patterns, kUp));
}

TEST(LoraConfig, WhatIsSavedWhole) {
  const LoraConfig config = read({{"modules_to_save", {"embed_tokens", "multi_modal_projector"}}});
  EXPECT_TRUE(config.saves("model.language_model.embed_tokens"));
  EXPECT_TRUE(config.saves("model.multi_modal_projector.linear_1"));
  EXPECT_FALSE(config.saves("lm_head"));
}

TEST(LoraConfig, PatternsThatCannotBeUsed) {
  const auto why = [](const Json& keys) {
    return refusal([&] { adapts(keys, std::string(60, 'a')), read(keys).rank_of(std::string(60, 'a')); });
  };
  EXPECT_NE(why({{"target_modules", "(q"}}).find("'target_modules' \"(q\" is not a regular expression"),
            std::string::npos);
  EXPECT_NE(why({{"rank_pattern", {{"a)(b", 2}}}}).find("'rank_pattern' \"a)(b\""), std::string::npos);
  EXPECT_NE(why({{"target_modules", "(?=(a+)+b)(a+)+\\1$"}}).find("cannot be matched"), std::string::npos);
  EXPECT_NE(why({{"exclude_modules", std::string(100'000, '(')}}), "");
  EXPECT_NE(why({{"target_modules", "(a{1000}){1000}"}}), "");
}

}  // namespace
}  // namespace lithe::models
