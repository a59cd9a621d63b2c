// Dropout of LoRA and of adapters in a whole model: it depends on the seed and the record alone, and it is off
// wherever nothing is learnt.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>

#include "data/data_set.h"
#include "tune/evaluation.h"
#include "tune/loss.h"
#include "tune/methods.h"
#include "tune/parameters.h"
#include "tune/run.h"
#include "tune/step_log.h"
#include "tune/support.h"
#include "tune/trainer.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using test::run_until;
using test::tiny_recipe;

/// Every dropout that there is: of LoRA, of PIA and RepAdapters, and of those in the tower.
Recipe dropping_recipe(const test::TempFolder& folder) {
  Recipe recipe = tiny_recipe(folder);
  recipe.lora.emplace();
  recipe.lora->r = 4;
  recipe.lora->lora_dropout = 0.3;
  recipe.eas.emplace();
  recipe.eas->skip_layers = {1};
  recipe.eas->rep_dim = recipe.eas->pia_dim = 4;
  recipe.eas->dropout = 0.3;
  recipe.eas->tower = true;
  return recipe;
}

std::vector<double> losses_after_run(const Recipe& recipe) {
  run(recipe);
  return test::losses(recipe);
}

struct DropoutCase {
  test::TempFolder folder;
  Recipe recipe = dropping_recipe(folder);
  ReadyModel ready = ready_model(recipe);
  std::vector<Sample> samples;

  DropoutCase() {
    // So that what the terms add is not 0.
    for (const Parameter& parameter : learning_parameters(*ready.model)) {
      const at::NoGradGuard no_gradient;
      Tensor(parameter.values).add_(0.05);
    }
    const auto set = data::DataSet::open({.path = recipe.data.front().path});
    for (int64_t i = 0; i < set->size(); ++i) {
      samples.push_back(make_sample(*ready.model, set->read(i), {.conversation = "vicuna_v1"}));
      samples.back().draw = static_cast<uint64_t>(100 + i);
    }
  }

  Tensor loss(std::span<const Sample> some, bool dropout = true) const {
    return summed_loss(ready.model->decoder, pack_samples(*ready.model, ready.plan, some, {.dropout = dropout}));
  }

  Tensor gradients() const {
    std::vector<Tensor> all;
    for (const Parameter& parameter : learning_parameters(*ready.model)) {
      if (!parameter.values.grad().defined()) continue;
      all.push_back(parameter.values.grad().flatten().clone());
      Tensor(parameter.values).mutable_grad().reset();
    }
    return at::cat(all);
  }
};

TEST(TuneDropout, LeavesOutTheSameHoweverSamplesArePacked) {
  const DropoutCase opened;
  const at::NoGradGuard no_gradient;
  const std::span<const Sample> all(opened.samples);
  const double together = opened.loss(all).item<double>();
  double apart = 0;
  for (size_t i = 0; i < all.size(); ++i) apart += opened.loss(all.subspan(i, 1)).item<double>();
  EXPECT_NEAR(together, apart, 1e-5 * together);
  std::vector<Sample> turned(opened.samples.rbegin(), opened.samples.rend());
  EXPECT_NEAR(opened.loss(turned).item<double>(), together, 1e-5 * together);
  EXPECT_GT(std::abs(opened.loss(all, false).item<double>() - together), 1e-3 * together);
  turned.front().draw += 1;
  EXPECT_GT(std::abs(opened.loss(turned).item<double>() - together), 1e-4 * together);
}

TEST(TuneDropout, ABlockThatRunsAgainLeavesOutTheSame) {
  DropoutCase opened;
  const Tensor loss = opened.loss(opened.samples);
  loss.backward();
  const Tensor kept = opened.gradients();
  opened.ready.model->decoder.recomputes = opened.ready.model->vision->tower.recomputes = true;
  const Tensor again = opened.loss(opened.samples);
  again.backward();
  EXPECT_NEAR(loss.item<double>(), again.item<double>(), 1e-5 * loss.item<double>());
  const Tensor recomputed = opened.gradients();
  EXPECT_LE((kept - recomputed).abs().max().item<double>(), 1e-4 * kept.abs().max().item<double>());
}

/// Half a step either way along the gradient moves the loss by as much, with what is left out held fixed.
TEST(TuneDropout, TheGradientIsTheSlope) {
  const DropoutCase opened;
  opened.loss(opened.samples).backward();
  const std::vector<Parameter> parameters = learning_parameters(*opened.ready.model);
  std::vector<Tensor> directions;
  double squares = 0;
  for (const Parameter& parameter : parameters) {
    directions.push_back(parameter.values.grad().defined() ? parameter.values.grad().clone() : Tensor());
    if (directions.back().defined()) squares += directions.back().square().sum().item<double>();
  }
  const double norm = std::sqrt(squares), step = 2e-3;
  const at::NoGradGuard no_gradient;
  const auto moved = [&](double by) {
    for (size_t i = 0; i < parameters.size(); ++i)
      if (directions[i].defined()) Tensor(parameters[i].values).add_(directions[i], by / norm);
    return opened.loss(opened.samples).item<double>();
  };
  const double above = moved(step / 2), below = moved(-step);
  EXPECT_NEAR((above - below) / step, norm, 0.03 * norm);
}

TEST(TuneDropout, IsOffWhereNothingIsLearnt) {
  DropoutCase opened;
  const double without = opened.loss(opened.samples, false).item<double>();
  int64_t labels = 0;
  for (const Sample& sample : opened.samples) labels += sample.learnt();
  const Trainer trainer(*opened.ready.model, opened.ready.plan, {.pack = {.dropout = true}});
  EXPECT_NEAR(trainer.loss(opened.samples) * static_cast<double>(labels), without, 1e-4 * without);
  EXPECT_GT(std::abs(trainer.loss(opened.samples, true) * static_cast<double>(labels) - without), 1e-3 * without);
  std::vector<std::unique_ptr<data::DataSet>> sets;
  sets.push_back(data::DataSet::open({.path = opened.recipe.data.front().path}));
  const Evaluation evaluation =
      evaluate(*opened.ready.model, opened.ready.plan, sets, {.sample = {.conversation = "vicuna_v1"}, .shown = 0});
  EXPECT_NEAR(evaluation.loss * static_cast<double>(labels), without, 1e-4 * without);
}

TEST(TuneDropout, ARunGoesOnToTheSameLosses) {
  const test::TempFolder folder;
  Recipe recipe = dropping_recipe(folder);
  recipe.learning_rate = 1e-2;
  recipe.per_device_train_batch_size = 2;
  const std::vector<double> whole = losses_after_run(recipe);
  recipe.output_dir = (folder / "again").string();
  EXPECT_EQ(losses_after_run(recipe), whole);  // the same seed, the same run

  recipe.output_dir = (folder / "stopped").string();
  recipe.save_steps = 2;
  run_until(recipe, 3);
  recipe.resume_from_checkpoint = "";
  EXPECT_EQ(losses_after_run(recipe), whole);

  recipe.resume_from_checkpoint.reset();
  recipe.output_dir = (folder / "without").string();
  recipe.lora->lora_dropout = recipe.eas->dropout = 0;
  EXPECT_NE(losses_after_run(recipe), whole);
}

TEST(TuneDropout, ALoraFolderSaysItsDropout) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.max_steps = 1;
  recipe.lora.emplace();
  recipe.lora->lora_dropout = 0.25;
  EXPECT_EQ(read_json_file(run(recipe).output / "adapter_config.json").at("lora_dropout"), 0.25);
}

}  // namespace
}  // namespace lithe::tune
