#include "tune/methods.h"

#include "base/error.h"
#include "tune/parameters.h"
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
