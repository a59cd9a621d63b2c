// Tuning of LaVIN and LaVIN-EAS: the base stays as it is in its 16 bits, adapters come out as their authors publish
// them, and what was tuned opens, answers and folds.
#include <ATen/ops/abs.h>
#include <ATen/ops/equal.h>

#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "checkpoints/read/lavin_folder.h"
#include "checkpoints/write/converting.h"
#include "image/png.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"
#include "io/torch_file.h"
#include "models/lavin_folder.h"
#include "models/model.h"
#include "sentence_of.h"
#include "session/fold.h"
#include "session/session.h"
#include "tune/methods.h"
#include "tune/run.h"
#include "tune/search_phase.h"
#include "tune/step_log.h"
#include "tune/support.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;

/// Questions of the golden case, two of them about a picture, with short answers.
fs::path records_in(const fs::path& folder) {
  Json records = Json::array();
  const char* const answers[] = {"The answer is A.", "The answer is B.", "The answer is C."};
  const Json prompts = read_json_file(test::golden("lavin") / "case.json").at("prompts");
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::string question = prompts.at(i);
    Json& record = records.emplace_back();
    record["id"] = std::to_string(i);
    record["conversations"] = {{{"from", "human"}, {"value", (i == 0 ? "" : "<image>\n") + question}},
                               {{"from", "gpt"}, {"value", answers[i]}}};
    if (i > 0) record["image"] = std::to_string(5 + i) + "/image.png";
  }
  const fs::path file = folder / "records.json";
  std::ofstream(file) << records.dump();
  return file;
}

class LavinTuning : public ::testing::Test {
 protected:
  LavinTuning() {
    lithe::test::link_lavin("", folder_ / "base");
    recipe_.file = "recipe.yaml";
    recipe_.model_name_or_path = (folder_ / "base").string();
    recipe_.output_dir = (folder_ / "out").string();
    recipe_.data = {{.path = records_in(folder_.path()).string(),
                     .images = (test::golden("lavin") / "inputs/scienceqa/images/test").string()}};
    recipe_.per_device_train_batch_size = 3;
    recipe_.num_train_epochs = 20;
    recipe_.learning_rate = 2e-2;
    recipe_.lr_scheduler_type = LrSchedule::constant;
    recipe_.save_steps = 0;
    recipe_.eas.emplace();
    recipe_.eas->rep_dim = 8;
    recipe_.eas->pia_dim = 32;
    recipe_.eas->tower = true;
  }

  std::vector<double> losses() const {
    std::vector<double> losses;
    for (const StepRecord& record : read_step_log(fs::path(recipe_.output_dir) / "log.jsonl"))
      losses.push_back(record.loss);
    return losses;
  }

  test::TempFolder folder_;
  Recipe recipe_;
};

TEST_F(LavinTuning, AdaptersAloneLearn) {
  const ReadyModel ready = ready_model(recipe_);
  int64_t learning = 0;
  visit(*ready.model, [&](const models::HeldWeight& held) {
    const bool adapter = held.name.adapter != models::Adapter::none || held.name.part == models::Part::projector ||
                         held.name.role == models::Role::modality;
    EXPECT_EQ(held.weight.learning().has_value(), adapter) << text_of(held.name);
    learning += held.weight.learning() ? held.weight.count() : 0;
    const bool of_llama = held.linear && held.name.part == models::Part::decoder && !adapter;
    if (of_llama) {
      EXPECT_EQ(held.weight.type(), at::kHalf) << text_of(held.name);
    }
  });
  // As LaVIN's case has it, but for the projector, which is 128 wide as published and 16 there.
  const Json trainable = read_json_file(test::golden("lavin") / "case.json").at("trainable");
  const int64_t hidden = 40, width = 24, wider = 128 - 16;
  EXPECT_EQ(learning, trainable.at("elements").get<int64_t>() + wider * (width + 1 + hidden));
}

TEST_F(LavinTuning, LavinLearnsAndComesOutAsPublished) {
  const RunResult result = run(recipe_);
  EXPECT_EQ(result.steps, 20);
  EXPECT_LT(losses().back(), 0.5 * losses().front());
  const fs::path out = result.output;
  const auto torch = io::open_torch(out / "checkpoint-19.pth");
  const io::SafetensorsFile twin = io::open_safetensors(out / "checkpoint-19.safetensors"),
                            published = io::open_safetensors(test::golden("lavin") /
                                                             "checkpoint/adapter/checkpoint-19.safetensors");
  EXPECT_EQ(torch.size(), published.tensors.size());
  for (const auto& [name, tensor] : published.tensors) {
    ASSERT_TRUE(torch.contains(name) && twin.tensors.contains(name)) << name;
    EXPECT_TRUE(std::ranges::equal(torch.at(name).bytes, twin.tensors.at(name).bytes)) << name;
    EXPECT_EQ(torch.at(name).shape, twin.tensors.at(name).shape);
    EXPECT_EQ(torch.at(name).shape.size(), tensor.shape.size()) << name;
  }
  const session::Session tuned = session::Session::open(out);
  EXPECT_TRUE(tuned.notes().empty());
  session::Request request;
  request.messages.push_back(
      text::user_message(read_json_file(test::golden("lavin") / "case.json").at("prompts").at(0), 0));
  EXPECT_EQ(tuned.answer(request, {.max_new_tokens = 40}).text, "The answer is A.");
}

TEST_F(LavinTuning, EasKeepsWhatItsPlanRuns) {
  recipe_.eas->skip_layers = {2, 4, 7};
  const RunResult result = run(recipe_);
  EXPECT_LT(losses().back(), 0.5 * losses().front());
  const session::Session tuned = session::Session::open(result.output);
  EXPECT_EQ(tuned.plan().layers.size(), 3u);
  const io::SafetensorsFile file = io::open_safetensors(result.output / "checkpoint-19.safetensors");
  for (int64_t layer = 0; layer < 8; ++layer) {
    const std::string name = "module.layers." + std::to_string(layer);
    const bool skipped = layer == 2 || layer == 4 || layer == 7;
    EXPECT_EQ(file.tensors.contains(name + ".replaced_adapter.conv_C.weight"), skipped) << layer;
    EXPECT_EQ(file.tensors.contains(name + ".adapter_attn.conv_A.weight"), !skipped) << layer;
  }
}

TEST_F(LavinTuning, ASearchFindsLayersAndTunesWithoutThem) {
  recipe_.eas->skip_count = 2;
  recipe_.eas->search.bandit = EasSearchRecipe::Bandit::softmax;
  recipe_.eas->search.steps = 6;
  recipe_.eas->search.warmup_steps = 2;
  recipe_.eas->search.every_steps = 1;
  recipe_.eval_data = recipe_.data;
  recipe_.num_train_epochs = 2;
  const RunResult result = run(recipe_);
  const session::Session tuned = session::Session::open(result.output);
  EXPECT_EQ(tuned.plan().layers.size(), 2u);
  EXPECT_TRUE(fs::exists(result.output / "search/scores.json"));
  EXPECT_TRUE(fs::exists(result.output / "checkpoint-1.pth"));
}

// A folder that holds all in one, as `lithe convert` writes it, has a place for every weight.
TEST_F(LavinTuning, AWholeFolderLearnsInFullAndTakesAdaptersThen) {
  const fs::path whole = folder_ / "whole", full = folder_ / "full";
  models::convert_folder(recipe_.model_name_or_path, whole, models::TargetLayout::hf);
  const EasRecipe eas = *recipe_.eas;
  recipe_.model_name_or_path = whole.string();
  recipe_.output_dir = full.string();
  recipe_.eas.reset();
  recipe_.train = {"*"};
  recipe_.learning_rate = 2e-3;
  run(recipe_);
  const std::vector<double> in_full = losses();
  EXPECT_LT(in_full.back(), 0.5 * in_full.front());
  const io::Checkpoint before = io::Checkpoint::open(whole), after = io::Checkpoint::open(full);
  for (const char* name : {"language_model.model.layers.7.mlp.up_proj.weight",
                           "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight"})
    EXPECT_FALSE(std::ranges::equal(before.at(name).bytes, after.at(name).bytes)) << name;
  EXPECT_TRUE(after.contains("multi_modal_projector.linear_1.weight"));

  recipe_.model_name_or_path = full.string();
  recipe_.output_dir = (folder_ / "eas").string();
  recipe_.eas = eas;
  recipe_.eas->skip_layers = {2, 4, 7};
  recipe_.train.reset();
  recipe_.learning_rate = 2e-2;
  const RunResult result = run(recipe_);
  const session::Session tuned = session::Session::open(result.output);
  EXPECT_TRUE(tuned.notes().empty());
  EXPECT_EQ(tuned.plan().layers.size(), 3u);
  EXPECT_NE(losses(), in_full) << "the log is that of the base model's run";
  const io::Checkpoint adapted = io::Checkpoint::open(result.output);
  const std::string frozen = "language_model.model.layers.7.mlp.up_proj.weight";
  EXPECT_TRUE(std::ranges::equal(after.at(frozen).bytes, adapted.at(frozen).bytes));
  EXPECT_FALSE(adapted.contains("language_model.model.layers.7.self_attn.q_proj.weight"));
  EXPECT_TRUE(read_json_file(result.output / "config.json").at("gates_read_prompt").get<bool>());
}

// LoRA goes over the adapters, which learn on beside it.
TEST_F(LavinTuning, LoraLearnsOverAWholeFolder) {
  const fs::path parts = folder_ / "tuned", whole = folder_ / "whole";
  lithe::test::link_lavin("lavin", parts);
  models::convert_folder(parts, whole, models::TargetLayout::hf);
  recipe_.eas.reset();
  recipe_.lora.emplace();
  recipe_.lora->r = 4;
  recipe_.learning_rate = 5e-3;
  recipe_.model_name_or_path = parts.string();
  EXPECT_NE(lithe::test::sentence_of([&] { ready_model(recipe_); }).find("LoRA goes over one folder"),
            std::string::npos);
  recipe_.model_name_or_path = whole.string();
  const RunResult result = run(recipe_);
  EXPECT_LT(losses().back(), 0.5 * losses().front());
  const io::Checkpoint adapter = io::Checkpoint::open(result.output / "adapter_model.safetensors");
  EXPECT_FALSE(adapter.contains("language_model.model.layers.0.mlp.up_proj.weight"));

  const session::Session tuned = session::Session::open(result.output);
  EXPECT_GT(tuned.facts().low_rank.size(), 0U);
  session::Request request;
  request.messages.push_back(
      text::user_message(read_json_file(test::golden("lavin") / "case.json").at("prompts").at(0), 0));
  EXPECT_EQ(tuned.answer(request, {.max_new_tokens = 40}).text, "The answer is A.");
  const session::FoldReport report = session::fold_model(tuned, request, {}, folder_ / "folded");
  EXPECT_GT(report.low_rank, 0);
  EXPECT_EQ(report.tokens_equal, report.tokens);
  EXPECT_EQ(session::Session::open(folder_ / "folded").answer(request, {.max_new_tokens = 40}).text,
            "The answer is A.");
  EXPECT_NE(lithe::test::sentence_of([&] { models::open_model(parts, {.lora = result.output}); }).find("in parts"),
            std::string::npos);
}

// LLaMA and CLIP alone in one folder: the projector and the modality rows come out in the LoRA folder.
TEST_F(LavinTuning, LoraLearnsOverAWholeFolderWithoutProjector) {
  const fs::path whole = folder_ / "whole";
  models::convert_folder(recipe_.model_name_or_path, whole, models::TargetLayout::hf);
  recipe_.model_name_or_path = whole.string();
  recipe_.eas.reset();
  recipe_.lora.emplace();
  recipe_.num_train_epochs = 1;
  const RunResult result = run(recipe_);
  const session::Session tuned = session::Session::open(result.output);
  EXPECT_GT(tuned.facts().low_rank.size(), 0U);
  EXPECT_TRUE(tuned.notes().empty()) << tuned.notes().front();
}

// The plan goes with the LoRA folder, and with what is folded from it.
TEST_F(LavinTuning, LoraAndEasKeepTheirPlan) {
  const fs::path whole = folder_ / "whole";
  models::convert_folder(recipe_.model_name_or_path, whole, models::TargetLayout::hf);
  recipe_.model_name_or_path = whole.string();
  recipe_.eas->skip_layers = {2, 4};
  recipe_.eas->scale = 2;
  recipe_.lora.emplace();
  recipe_.num_train_epochs = 1;
  const RunResult result = run(recipe_);
  const session::Session tuned = session::Session::open(result.output);
  ASSERT_EQ(tuned.plan().layers.size(), 2U);
  EXPECT_FALSE(tuned.plan().layers.front().self_attention);
  session::Request request;
  request.messages.push_back(
      text::user_message(read_json_file(test::golden("lavin") / "case.json").at("prompts").at(0), 0));
  const session::FoldReport report = session::fold_model(tuned, request, {}, folder_ / "folded");
  EXPECT_EQ(report.tokens_equal, report.tokens);
  EXPECT_LT(report.largest_deviation, 0.05 * report.largest_logit);
  EXPECT_EQ(session::Session::open(folder_ / "folded").plan().layers, tuned.plan().layers);
}

TEST_F(LavinTuning, RoutersLearnInAWholeFolderAndAreRefusedInParts) {
  recipe_.eas.reset();
  recipe_.p_mod.emplace();
  EXPECT_NE(lithe::test::sentence_of([&] { ready_model(recipe_); }).find("has no place for routers"),
            std::string::npos);
  const fs::path whole = folder_ / "whole";
  models::convert_folder(recipe_.model_name_or_path, whole, models::TargetLayout::hf);
  recipe_.model_name_or_path = whole.string();
  recipe_.num_train_epochs = 2;
  for (const bool with_lora : {false, true}) {
    if (with_lora) recipe_.lora.emplace();
    recipe_.output_dir = (folder_ / (with_lora ? "lora" : "routed")).string();
    const RunResult result = run(recipe_);
    const auto tuned =
        models::open_model(with_lora ? whole : result.output, {.lora = with_lora ? result.output : fs::path()});
    EXPECT_FALSE(tuned->decoder.config.routers.empty());
    EXPECT_TRUE(tuned->decoder.config.router_bias);
    EXPECT_FALSE(tuned->plan.layers.empty());
    double largest = 0;
    visit(*tuned, [&](const models::HeldWeight& held) {
      if (held.name.role != models::Role::router || held.name.kind == models::Kind::bias) return;
      largest = std::max(largest, held.weight.widened(at::kFloat).abs().max().item<double>());
    });
    EXPECT_GT(largest, 0) << "what the routers learnt is lost";
  }
}

TEST_F(LavinTuning, ADryRunRefusesASearchThatWouldNotBegin) {
  const auto refusal = [&] { return lithe::test::sentence_of([&] { run(recipe_, {.dry_run = true}); }); };
  recipe_.eas->skip_count = 8;
  EXPECT_NE(refusal().find("keep at least one"), std::string::npos) << refusal();
  recipe_.eas->skip_count = 2;
  recipe_.eas->search.steps = 2;
  EXPECT_NE(refusal().find("after step 10"), std::string::npos) << refusal();
  recipe_.head_lr = 1e-3;
  EXPECT_NE(refusal().find("`head_lr` and `cross_modal_lr` are for METER"), std::string::npos) << refusal();
}

TEST_F(LavinTuning, SecondAdaptersAreRefusedWithAWayOut) {
  const fs::path parts = folder_ / "tuned";
  lithe::test::link_lavin("lavin", parts);
  recipe_.model_name_or_path = parts.string();
  EXPECT_NE(lithe::test::sentence_of([&] { ready_model(recipe_); }).find("leave `eas` out"), std::string::npos);
}

TEST_F(LavinTuning, WhatTheAdapterFileCannotHoldIsRefusedAtOnce) {
  recipe_.train = {"*layers.3.mlp*"};
  try {
    ready_model(recipe_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("which LaVIN's adapter file has no place for"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace lithe::tune
