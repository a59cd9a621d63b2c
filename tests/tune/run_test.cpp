// Whole runs over tiny models: what they leave, that they resume to the same losses, and that models learn.
#include "tune/run.h"

#include <functional>

#include "base/error.h"
#include "base/json.h"
#include "io/safetensors.h"
#include "sentence_of.h"
#include "session/session.h"
#include "tune/output.h"
#include "tune/step_log.h"
#include "tune/support.h"
#include "tune/training_state.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using test::losses;
using test::run_until;
using test::score_by_heart;
using test::tiny_recipe;

/// The recipe of a run of six steps that is through, with checkpoints after the third and the sixth, to be resumed.
Recipe finished_recipe(const test::TempFolder& folder) {
  Recipe recipe = tiny_recipe(folder);
  recipe.save_steps = 3;
  run(recipe);
  recipe.resume_from_checkpoint = "";
  return recipe;
}

/// The published p-MoD model on its own files: the losses of the public code.
TEST(Run, GivesThePublishedLosses) {
  const test::TempFolder folder;
  const io::SafetensorsFile published = io::open_safetensors(test::golden("pmod_train") / "expected.safetensors");
  Recipe recipe = tiny_recipe(folder);
  recipe.model_name_or_path = test::copy_of_pmod(folder).string();
  recipe.shuffle = false;
  recipe.max_steps = 5;
  recipe.max_grad_norm = 0;
  const auto expect_losses = [&](const char* name) {
    const auto expected = published.tensors.at(name).values<double>();
    const std::vector<double> actual = losses(recipe);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 2e-4) << name << ' ' << i;
  };
  run(recipe);
  expect_losses("adamw_a.losses");

  recipe.output_dir = (folder / "b").string();
  recipe.max_grad_norm = 1;
  recipe.mm_projector_lr = 2e-4;
  recipe.weight_decay = 0.1;
  recipe.lr_scheduler_type = LrSchedule::cosine;
  recipe.warmup_steps = 1;
  run(recipe);
  expect_losses("adamw_b.losses");
}

TEST(Run, LeavesAModelThatOpensWithThePlanThatItWasTunedFor) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.p_mod.emplace();
  const RunResult result = run(recipe);
  EXPECT_EQ(result.steps, 6);
  EXPECT_EQ(losses(recipe).size(), 6u);
  EXPECT_LT(losses(recipe).back(), losses(recipe).front());
  EXPECT_TRUE(fs::exists(result.output / "report.html"));
  const session::Session tuned = session::Session::open(result.output);
  EXPECT_FALSE(tuned.plan().layers.empty());
  EXPECT_FALSE(tuned.facts().routers.empty());
  for (const StepRecord& record : read_step_log(result.output / "log.jsonl"))
    EXPECT_LT(record.more.at("kept_share").get<double>(), 1.0);
}

TEST(Run, GoesOnToTheSameLosses) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.lr_scheduler_type = LrSchedule::cosine;
  recipe.per_device_train_batch_size = 2;  // so that epochs and batches do not end together
  run(recipe);
  const std::vector<double> whole = losses(recipe);

  recipe.output_dir = (folder / "again").string();
  recipe.save_steps = 2;
  run_until(recipe, 3);
  EXPECT_THROW(run(recipe), Error);  // there are checkpoints, and nobody said to go on
  recipe.resume_from_checkpoint = "";
  std::vector<std::string> notes;
  RunOptions options{.on_note = [&](const std::string& sentence) { notes.push_back(sentence); }};
  EXPECT_EQ(run(recipe, options).steps, 6);
  EXPECT_EQ(losses(recipe), whole);
  EXPECT_TRUE(notes.empty()) << notes.front();
  recipe.learning_rate = 2e-3;
  recipe.max_steps = 7;
  run(recipe, options);
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_NE((notes[0] + notes[1]).find("learning_rate"), std::string::npos) << notes[0];
}

TEST(Run, KeepsAsManyCheckpointsAsAsked) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.save_steps = 1;
  recipe.save_total_limit = 2;
  run(recipe);
  std::vector<int64_t> steps;
  for (const CheckpointFolder& checkpoint : checkpoints_in(recipe.output_dir)) steps.push_back(checkpoint.step);
  EXPECT_EQ(steps, (std::vector<int64_t>{5, 6}));
  EXPECT_FALSE(session::Session::open(fs::path(recipe.output_dir) / "checkpoint-6").facts().layers == 0);
}

TEST(Run, AccumulationEqualsOneBatch) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.shuffle = false;
  run(recipe);
  const std::vector<double> together = losses(recipe);
  recipe.output_dir = (folder / "accumulated").string();
  recipe.per_device_train_batch_size = 1;
  recipe.gradient_accumulation_steps = 3;
  run(recipe);
  const std::vector<double> apart = losses(recipe);
  ASSERT_EQ(together.size(), apart.size());
  for (size_t i = 0; i < together.size(); ++i) EXPECT_NEAR(together[i], apart[i], 1e-4 * together[i]) << i;
}

TEST(Run, CheckpointedActivationsGiveTheSameLosses) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.p_mod.emplace();
  run(recipe);
  const std::vector<double> plain = losses(recipe);
  recipe.output_dir = (folder / "recomputed").string();
  recipe.gradient_checkpointing = true;
  run(recipe);
  const std::vector<double> recomputed = losses(recipe);
  ASSERT_EQ(plain.size(), recomputed.size());
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(plain[i], recomputed[i], 1e-4 * plain[i]) << i;
}

TEST(Run, LeavesARunAlone) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.max_steps = 1;
  run(recipe);
  EXPECT_THROW(run(recipe), Error);
  EXPECT_EQ(losses(recipe).size(), 1u);
}

TEST(Run, AFinishedRunStaysAsItIs) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.save_steps = 500;  // more than there are: the last step leaves a checkpoint all the same
  const double loss = run(recipe).last_loss;
  recipe.resume_from_checkpoint = "";
  const auto written = fs::last_write_time(fs::path(recipe.output_dir) / "model.safetensors");
  const RunResult again = run(recipe);
  EXPECT_EQ(again.last_loss, loss);
  EXPECT_EQ(again.steps, 6);
  EXPECT_EQ(fs::last_write_time(fs::path(recipe.output_dir) / "model.safetensors"), written);
}

TEST(Run, AModelThatAKillLeftOutIsWrittenFromTheCheckpoint) {
  const test::TempFolder folder;
  const Recipe recipe = finished_recipe(folder);
  const fs::path output = recipe.output_dir;
  const auto is_whole = [&] { return holds_tuned(output, output / "checkpoint-6"); };
  EXPECT_TRUE(is_whole());
  fs::remove(output / "model.safetensors");
  fs::remove(output / "config.json");
  EXPECT_FALSE(is_whole());
  std::vector<std::string> notes;
  const RunResult again = run(recipe, {.on_note = [&](const std::string& note) { notes.push_back(note); }});
  EXPECT_EQ(again.steps, 6);
  EXPECT_TRUE(is_whole());
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("its model is written from checkpoint-6"), std::string::npos) << notes[0];
  models::open_model(output);
}

TEST(Run, TheModelOfAnEarlierStepIsReplacedByTheCheckpoints) {
  const test::TempFolder folder;
  Recipe recipe = finished_recipe(folder);
  const fs::path output = recipe.output_dir;
  fs::copy(output / "checkpoint-3/model.safetensors", output / "model.safetensors",
           fs::copy_options::overwrite_existing);
  recipe.max_steps = 4;
  run(recipe);
  EXPECT_TRUE(holds_tuned(output, output / "checkpoint-6"));
}

TEST(Run, ACheckpointWithoutItsStateIsNamedBeforeAStep) {
  const test::TempFolder folder;
  const Recipe recipe = finished_recipe(folder);
  fs::remove(fs::path(recipe.output_dir) / "checkpoint-6/training_state.json");
  int64_t steps = 0;
  const std::string said =
      lithe::test::sentence_of([&] { run(recipe, {.on_step = [&](const StepReport&) { ++steps; }}); });
  EXPECT_NE(said.find("checkpoint-6: has no training_state.json"), std::string::npos) << said;
  EXPECT_EQ(steps, 0);
}

TEST(Run, KeepsTheBestCheckpoint) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.eval_data = recipe.data;
  recipe.metric_for_best_model = "loss";
  recipe.learning_rate = 1e-2;
  recipe.save_steps = 1;
  recipe.save_total_limit = 1;
  recipe.max_steps = 4;
  std::map<int64_t, double> scores;
  RunOptions options;
  options.on_evaluation = [&](const Evaluation& evaluation) { scores[evaluation.step] = evaluation.loss; };
  run(recipe, options);
  ASSERT_EQ(scores.size(), 4u);
  const auto best =
      std::min_element(scores.begin(), scores.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  bool found = false;
  for (const CheckpointFolder& checkpoint : checkpoints_in(recipe.output_dir)) found |= checkpoint.step == best->first;
  EXPECT_TRUE(found) << "step " << best->first;
}

/// A score must rise: with each method the model learns three answers by heart, of which it knew none.
TEST(Run, LearnsAnswersByHeart) {
  const test::TempFolder folder;
  const auto expect_learns = [&](const char* method, const std::function<void(Recipe&)>& choose) {
    Recipe recipe = tiny_recipe(folder);
    recipe.output_dir = (folder / method).string();
    choose(recipe);
    const test::Scores scores = score_by_heart(recipe);
    EXPECT_EQ(scores.before, 0.0) << method;
    EXPECT_EQ(scores.after, 1.0) << method;
  };
  const auto add_eas = [](Recipe& recipe) {
    recipe.eas.emplace();
    recipe.eas->skip_layers = {1};
    recipe.eas->rep_dim = recipe.eas->pia_dim = 16;
  };
  expect_learns("full", [](Recipe&) {});
  expect_learns("p-mod", [](Recipe& recipe) { recipe.p_mod.emplace(); });
  expect_learns("lora", [](Recipe& recipe) { recipe.lora.emplace(); });
  expect_learns("eas", add_eas);
  expect_learns("p-mod and eas", [&](Recipe& recipe) {
    add_eas(recipe);
    recipe.p_mod.emplace();
  });
}

/// Training data and two held-out records, of which the second one is bad.
Recipe recipe_with_bad_held_out(const test::TempFolder& folder) {
  Recipe recipe = tiny_recipe(folder);
  std::ofstream(folder / "held_out.json") << R"([
    {"id": "a", "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
    {"id": "b", "conversations": [{"from": "human", "value": "Q"}]}])";
  recipe.eval_data = {{.path = (folder / "held_out.json").string()}};
  return recipe;
}

TEST(Run, ABadHeldOutRecordEndsItBeforeTheFirstStep) {
  const test::TempFolder folder;
  const Recipe recipe = recipe_with_bad_held_out(folder);
  int64_t steps = 0;
  const std::string said =
      lithe::test::sentence_of([&] { run(recipe, {.on_step = [&](const StepReport&) { ++steps; }}); });
  EXPECT_NE(said.find("held_out.json, record 2"), std::string::npos) << said;
  EXPECT_EQ(steps, 0);
}

TEST(Run, SkipBadSamplesCountsHeldOutRecordsToo) {
  const test::TempFolder folder;
  Recipe recipe = recipe_with_bad_held_out(folder);
  recipe.skip_bad_samples = 1;
  recipe.eval_steps = 2;
  std::vector<std::string> notes;
  int64_t evaluations = 0;
  run(recipe, {.on_note = [&](const std::string& note) { notes.push_back(note); },
               .on_evaluation = [&](const Evaluation&) { ++evaluations; }});
  EXPECT_EQ(evaluations, 3);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0].find("left out of eval_data: "), 0u) << notes[0];
  EXPECT_NE(notes[0].find("held_out.json, record 2"), std::string::npos) << notes[0];
}

TEST(Run, AnEvaluationThatFailsLosesNoStep) {
  const test::TempFolder folder;
  fs::copy(test::golden("pmod_train") / "inputs", folder / "inputs", fs::copy_options::recursive);
  Recipe recipe = tiny_recipe(folder);
  run(recipe);
  const std::vector<double> whole = losses(recipe);

  recipe.output_dir = (folder / "again").string();
  recipe.eval_data = {{.path = (folder / "inputs/data.json").string()}};
  recipe.eval_steps = 4;
  const auto lose_the_data = [&](const StepReport& report) {
    if (report.step != 4) return;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder / "inputs"))
      if (entry.path().extension() != ".json") fs::remove_all(entry.path());
  };
  std::vector<std::string> notes;
  const std::string said = lithe::test::sentence_of([&] {
    run(recipe, {.on_note = [&](const std::string& note) { notes.push_back(note); }, .on_step = lose_the_data});
  });
  EXPECT_NE(said.find("data.json"), std::string::npos) << said;
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("checkpoint-4 holds the run"), std::string::npos) << notes[0];

  recipe.resume_from_checkpoint = "";
  recipe.eval_data.clear();
  EXPECT_EQ(run(recipe).steps, 6);
  EXPECT_EQ(losses(recipe), whole);
}

RunEstimate tried(const Recipe& recipe) {
  RunEstimate told;
  run(recipe, {.on_begin = [&](const RunEstimate& estimate) { told = estimate; }, .dry_run = true});
  return told;
}

TEST(Run, ADryRunSaysIfTheRunWouldEndForItsBadSamples) {
  const test::TempFolder folder;
  Recipe recipe = recipe_with_bad_held_out(folder);
  RunEstimate estimate = tried(recipe);
  EXPECT_EQ(estimate.bad_held_out, 1);
  EXPECT_NE(estimate.refusal.find("1 record of eval_data"), std::string::npos) << estimate.refusal;
  recipe.skip_bad_samples = 1;
  EXPECT_EQ(tried(recipe).refusal, "");

  recipe.data = recipe.eval_data;  // two epochs meet the bad one twice
  recipe.eval_data.clear();
  recipe.per_device_train_batch_size = 2;
  recipe.max_steps = 2;
  estimate = tried(recipe);
  EXPECT_EQ(estimate.bad_samples, 1);
  EXPECT_NE(estimate.refusal.find("2 samples"), std::string::npos) << estimate.refusal;
  EXPECT_THROW(run(recipe), Error);
  recipe.max_steps = 1;
  EXPECT_EQ(tried(recipe).refusal, "");
  EXPECT_GT(estimate.peak_bytes, estimate.activation_bytes);
}

TEST(Run, ALossThatIsNotFiniteNamesItsSamples) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.learning_rate = 1e30;
  recipe.max_grad_norm = 0;
  try {
    run(recipe);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("data.json"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace lithe::tune
