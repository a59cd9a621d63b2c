// `bf16`: products and attention in bfloat16, all else in float32.
#include "models/compute.h"
#include "tune/methods.h"
#include "tune/parameters.h"
#include "tune/run.h"
#include "tune/step_log.h"
#include "tune/support.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using test::run_until;
using test::score_by_heart;
using test::tiny_recipe;

std::vector<StepRecord> steps(Recipe recipe, bool bf16) {
  recipe.bf16 = bf16;
  recipe.output_dir += bf16 ? "-bf16" : "-float32";
  run(recipe);
  return read_step_log(fs::path(recipe.output_dir) / "log.jsonl");
}

/// bfloat16 has 8 bits. A loss is a mean over some tokens of what many rounded products make.
void expect_near(const Recipe& recipe, const char* what) {
  constexpr double kLoss = 0.01, kNorm = 0.05;
  const std::vector<StepRecord> rounded = steps(recipe, true), exact = steps(recipe, false);
  ASSERT_EQ(rounded.size(), exact.size()) << what;
  bool differs = false;
  for (size_t i = 0; i < exact.size(); ++i) {
    EXPECT_NEAR(rounded[i].loss, exact[i].loss, kLoss * exact[i].loss) << what << ", step " << i + 1;
    EXPECT_NEAR(rounded[i].grad_norm, exact[i].grad_norm, kNorm * exact[i].grad_norm) << what << ", step " << i + 1;
    differs |= rounded[i].loss != exact[i].loss;
  }
  EXPECT_TRUE(differs) << what;
}

TEST(Bfloat16, LossesAndGradientsAreThoseOfFloat32UpToRounding) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  expect_near(recipe, "full");
  recipe.output_dir = (folder / "checkpointed").string();
  recipe.gradient_checkpointing = true;
  expect_near(recipe, "checkpointed");
  recipe.output_dir = (folder / "eas").string();
  recipe.eas.emplace();
  recipe.eas->skip_layers = {1};
  recipe.eas->rep_dim = recipe.eas->pia_dim = 4;
  expect_near(recipe, "eas");
  recipe.output_dir = (folder / "lora").string();
  recipe.eas.reset();
  recipe.lora.emplace();
  expect_near(recipe, "lora");
}

/// With p-MoD a rounding may choose other rows, so only the loss is compared, and more loosely.
TEST(Bfloat16, RoutersStayInFloat32) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.p_mod.emplace();
  const std::vector<StepRecord> rounded = steps(recipe, true), exact = steps(recipe, false);
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR(rounded[i].loss, exact[i].loss, 0.05 * exact[i].loss) << i;
}

TEST(Bfloat16, WhatLearnsStaysInFloat32) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.bf16 = true;
  const ReadyModel ready = ready_model(recipe);
  for (const Parameter& parameter : learning_parameters(*ready.model))
    EXPECT_EQ(parameter.values.scalar_type(), at::kFloat);
}

TEST(Bfloat16, LearnsAnswersByHeart) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.bf16 = true;
  EXPECT_EQ(score_by_heart(recipe).after, 1.0);
}

TEST(Bfloat16, ARunGoesOnToTheSameLosses) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.bf16 = true;
  recipe.per_device_train_batch_size = 2;
  const auto losses = [&] {
    std::vector<double> losses;
    for (const StepRecord& record : read_step_log(fs::path(recipe.output_dir) / "log.jsonl"))
      losses.push_back(record.loss);
    return losses;
  };
  run(recipe);
  const std::vector<double> whole = losses();
  recipe.output_dir = (folder / "stopped").string();
  run_until(recipe, 3);
  recipe.resume_from_checkpoint = "";
  run(recipe);
  EXPECT_EQ(losses(), whole);
}

}  // namespace
}  // namespace lithe::tune
