#include "tune/methods.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "tune/output.h"
#include "tune/parameters.h"
#include "tune/run.h"
#include "tune/support.h"

namespace lithe::tune {
namespace {

using test::tiny_recipe;

/// The sentence that refuses a recipe; empty if it is taken.
std::string refusal(const Recipe& recipe, const Rates& rates = {}) {
  try {
    const ReadyModel ready = ready_model(recipe);
    group_parameters(learning_parameters(*ready.model), rates);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Methods, EveryPatternOfTrainFitsAWeight) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.train = {"mm_projector", "!*.bias"};
  EXPECT_EQ(refusal(recipe), "");
  for (const char* const misspelt : {"mm_projektor", "!*.layers.99.*"}) {
    recipe.train = {"mm_projector", misspelt};
    EXPECT_NE(refusal(recipe).find(misspelt), std::string::npos) << misspelt;
  }
}

TEST(Methods, AProductLearnsWholeOrByItsLora) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.lora.emplace();
  recipe.train = {"mm_projector"};
  EXPECT_EQ(refusal(recipe), "");
  recipe.train = {"*.layers.0.self_attn.q_proj.weight"};
  EXPECT_NE(refusal(recipe).find("layers.0.self_attn.q_proj"), std::string::npos) << refusal(recipe);
}

TEST(Methods, AnAdapterLearnsOn) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.max_steps = 2;
  recipe.train = {"mm_projector"};
  recipe.lora = LoraRecipe{.r = 4, .lora_alpha = 12, .target_modules = {"q_proj", "up_proj"}, .use_rslora = true};
  const std::filesystem::path adapter = run(recipe).output;

  recipe.output_dir = (folder / "on").string();
  recipe.train.reset();
  recipe.lora = LoraRecipe{.adapter_name_or_path = adapter.string(), .lora_dropout = 0.1};
  const ReadyModel ready = ready_model(recipe);
  ASSERT_EQ(ready.notes.size(), 1u);
  EXPECT_NE(ready.notes.front().find("brings 4 tensors"), std::string::npos) << ready.notes.front();
  const std::vector<Parameter> learning = learning_parameters(*ready.model);
  EXPECT_EQ(learning.size(), 2u * 2u * static_cast<size_t>(ready.model->decoder.config.layers));

  const std::filesystem::path same = folder / "same";
  write_tuned_model(*ready.model, ready.plan, recipe, same);
  const auto weights = [](const std::filesystem::path& in) {
    std::ifstream file(in / "adapter_model.safetensors", std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  EXPECT_GT(weights(adapter).size(), 1000u);
  EXPECT_EQ(weights(same), weights(adapter));
  Json config = read_json_file(adapter / "adapter_config.json");
  config["lora_dropout"] = 0.1;
  EXPECT_EQ(read_json_file(same / "adapter_config.json"), config);

  const std::filesystem::path on = run(recipe).output;
  EXPECT_NE(weights(on), weights(adapter));
  config["rank_pattern"] = {{"q_proj", 4}};
  std::ofstream(adapter / "adapter_config.json") << config;
  EXPECT_NE(refusal(recipe).find("rank_pattern"), std::string::npos) << refusal(recipe);
}

TEST(Methods, RoutersThatAreThereLearnOn) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.p_mod.emplace();
  EXPECT_TRUE(ready_model(recipe).notes.empty());
  recipe.model_name_or_path = test::copy_of_pmod(folder).string();
  const ReadyModel ready = ready_model(recipe);
  ASSERT_EQ(ready.notes.size(), 1u);
  EXPECT_NE(ready.notes.front().find("learnt stays"), std::string::npos) << ready.notes.front();
}

TEST(Methods, ARateIsOfSomethingThatLearns) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  EXPECT_EQ(refusal(recipe, {.mm_projector_lr = 1e-3}), "");
  EXPECT_NE(refusal(recipe, {.mm_vision_tower_lr = 1e-3}).find("mm_vision_tower_lr"), std::string::npos);
  recipe.lora.emplace();  // its factors alone learn
  EXPECT_NE(refusal(recipe, {.mm_projector_lr = 1e-3}).find("mm_projector_lr"), std::string::npos);
}

}  // namespace
}  // namespace lithe::tune
