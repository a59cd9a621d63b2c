// Folders of tuned models: they open as the model that was in memory, in the layout of the base model.
#include "checkpoints/write/tuned.h"

#include <ATen/ops/equal.h>

#include <algorithm>
#include <limits>

#include "checkpoints/read/catalogue.h"
#include "io/checkpoint.h"
#include "models/additions.h"
#include "models/both_folder.h"
#include "models/training.h"
#include "plan/parse.h"
#include "plan/schedule.h"

namespace lithe::models {
namespace {

bool all_learn(const WeightName&) {
  return true;
}

std::string differences(const fs::path& a, const fs::path& b) {
  const io::Checkpoint left = io::Checkpoint::open(a), right = io::Checkpoint::open(b);
  std::string names;
  for (const std::string& name : left.names()) {
    const io::TensorView* other = right.find(name);
    const auto bytes = left.at(name).bytes;
    if (!other || other->dtype != left.at(name).dtype || other->shape != left.at(name).shape ||
        !std::equal(bytes.begin(), bytes.end(), other->bytes.begin(), other->bytes.end()))
      names += name + " ";
  }
  return names;
}

class Tuned : public ::testing::Test {
 protected:
  /// Writes the model, opens what was written, and compares.
  std::unique_ptr<Model> written(Model& model, const TunedOptions& options = {}) {
    const fs::path folder = temp_.path / ("tuned" + std::to_string(folders_++));
    write_tuned(model, model.plan, folder, options);
    auto read = open_model(folder);
    EXPECT_EQ(read->plan.layers, model.plan.layers);
    EXPECT_TRUE(outputs_of(*read) == outputs_of(model)) << model.name;
    return read;
  }

  TempFolder temp_;
  int folders_ = 0;
};

TEST_F(Tuned, EveryLayoutOpensAsTheModelThatLearned) {
  for (const fs::path& base : {kHf, golden_folder("hf_llavanext") / "checkpoint", kOriginal, kPmod,
                               golden_folder("llava_eas") / "checkpoint"}) {
    const auto model = open_model(base, {.learns = all_learn}), plain = open_model(base);
    train(*model);
    EXPECT_FALSE(outputs_of(*model) == outputs_of(*plain));
    const auto read = written(*model);
    EXPECT_EQ(read->family, model->family);
    EXPECT_EQ(read->prompting.conversation, plain->prompting.conversation);
    EXPECT_EQ(io::Checkpoint::open(read->folder).names(), io::Checkpoint::open(base).names());
    EXPECT_FALSE(fs::exists(read->folder / "plan.json"));
  }
}

TEST_F(Tuned, WhatDoesNotLearnIsCopiedBitForBit) {
  const auto model = open_model(kOriginal, {.learns = [](const WeightName& name) {
                                  return name.part == Part::projector || name.role == Role::last_norm;
                                }});
  train(*model);
  const auto read = written(*model);
  EXPECT_EQ(differences(kOriginal, read->folder),
            "model.mm_projector.0.bias model.mm_projector.0.weight model.mm_projector.2.bias "
            "model.mm_projector.2.weight model.norm.weight ");
  EXPECT_EQ(differences(model->tower_folder, read->tower_folder), "");
  EXPECT_EQ(read->tower_folder.parent_path(), read->folder);
}

TEST_F(Tuned, ATowerIsWrittenWhereItWas) {
  const auto model = open_model(kOriginal, {.learns = [](const WeightName& name) { return name.part == Part::tower; }});
  train(*model);
  const auto read = written(*model);
  EXPECT_EQ(differences(kOriginal, read->folder), "");
  EXPECT_NE(differences(model->tower_folder, read->tower_folder), "");
}

TEST_F(Tuned, SixteenBitsAreRoundedOnce) {
  const fs::path base = temp_.path / "half";
  fs::copy(kHf, base, fs::copy_options::recursive);
  std::vector<Tensor> halves;
  edit_tensors(base / "model.safetensors", [&](auto& tensors) {
    for (auto& [name, view] : tensors) {
      halves.push_back(tensor_over(view).to(at::kHalf));
      const auto* bytes = static_cast<const std::byte*>(halves.back().const_data_ptr());
      view.dtype = io::Dtype::float16;
      view.bytes = {bytes, static_cast<size_t>(halves.back().nbytes())};
    }
  });
  const auto model = open_model(base, {.learns = all_learn});
  train(*model);
  const TunedCount count = write_tuned(*model, model->plan, temp_.path / "tuned");
  EXPECT_GT(count.rounding, 0);
  EXPECT_LE(count.rounding, 1.0 / 2048);
  const auto read = open_model(temp_.path / "tuned");
  const Tensor held = model->decoder.head.weight.widened(at::kHalf).detach();
  EXPECT_TRUE(at::equal(read->decoder.head.weight.widened(at::kHalf), held));
  train(*model, 1e7);
  const std::string said = refusal([&] { write_tuned(*model, model->plan, temp_.path / "large"); });
  EXPECT_NE(said.find("which float16 cannot hold; tune a base model whose weights are bfloat16"), std::string::npos)
      << said;
}

TEST_F(Tuned, WhatIsNotFiniteIsRefused) {
  const auto model = open_model(kHf, {.learns = all_learn});
  train(*model, std::numeric_limits<double>::infinity());
  const std::string said = refusal([&] { write_tuned(*model, model->plan, temp_.path / "tuned"); });
  EXPECT_NE(said.find("holds numbers that are not finite; lower the learning rate"), std::string::npos) << said;
}

TEST_F(Tuned, NewRoutersHaveThePublishedNames) {
  const auto dense = open_model(kOriginal), model = open_model(kOriginal);
  add_routers(*model, std::nullopt);
  model->plan = parsed(*model, R"({"method": "p-mod"})");
  train(*model, 0.3);
  const auto more = written(*model);  // routers in more layers than the plan routes: only plan.json can say that
  EXPECT_EQ(more->decoder.config.routers.size(), model->decoder.blocks.size());
  EXPECT_TRUE(fs::exists(more->folder / "plan.json"));
  EXPECT_FALSE(read_json_file(more->folder / "config.json").contains("mod_target_layers"));

  const Json keys = {{"mod_target_layers", "deep_all_include_last"},
                     {"mod_router_factor", 0.5},
                     {"mod_weight_norm", "tanh_0.2_1"},
                     {"mod_target_token_type", "vision_all"},
                     {"num_hidden_layers", dense->decoder.config.layers}};
  const plan::Plan plan = plan::from_public_pmod_config(JsonView(keys, "test"));
  std::vector<int64_t> routed;
  for (const plan::LayerPlan& entry : plan.layers) routed.push_back(entry.layer);
  add_routers(*dense, routed);
  dense->plan = plan;
  train(*dense, 0.3);
  const auto read = written(*dense);
  EXPECT_FALSE(fs::exists(read->folder / "plan.json"));
  EXPECT_EQ(read_json_file(read->folder / "config.json")["model_type"], "pmod_llava_llama");
  EXPECT_EQ(read->decoder.config.routers, routed);
  const io::Checkpoint file = io::Checkpoint::open(read->folder);
  const std::string layer = concat("model.layers.", routed.front());
  EXPECT_TRUE(file.contains(layer + ".router.router.weight") && file.contains(layer + ".router.router.bias"));
  EXPECT_TRUE(file.contains(layer + ".decoder_layer.mlp.up_proj.weight"));
  EXPECT_FALSE(file.contains(layer + ".mlp.up_proj.weight"));
}

TEST_F(Tuned, APublishedPlanIsSaidByPublishedKeys) {
  const auto model = open_model(kPmod, {.learns = all_learn});
  train(*model);
  const auto same = written(*model);
  Json expected = read_json_file(kPmod / "config.json");
  expected["conversation"] = model->prompting.conversation;
  using Unordered = nlohmann::json;
  EXPECT_EQ(Unordered(read_json_file(same->folder / "config.json")), Unordered(expected));
  model->plan.layers[0].rules[0].keep_share = 0.9;
  const auto read = written(*model);
  EXPECT_TRUE(fs::exists(read->folder / "plan.json"));
  EXPECT_FALSE(read_json_file(read->folder / "config.json").contains("mod_target_layers"));
  EXPECT_EQ(read->decoder.config.routers, model->decoder.config.routers);
}

TEST_F(Tuned, HuggingFaceTakesRoutersAndAdapters) {
  const auto model = open_model(kHf, {.learns = [](const WeightName& name) { return name.layer == 1; }});
  add_routers(*model, {{1, 2}});
  add_adapters(*model, {.reps = {{0, 2}},
                        .pias = {{1}},
                        .tower = true,
                        .rep_rank = 4,
                        .pia_rank = 6,
                        .scale = 0.5,
                        .temperature = 3,
                        .seed = 3});
  model->plan = parsed(*model, R"({"layers": [
      {"layer": 1, "attention": "off"},
      {"layer": 2, "rules": [{"group": "vision", "keep_share": 0.5, "by": "router", "gate": "tanh_norm"}]}]})");
  train(*model, 0.1);
  const auto read = written(*model);
  EXPECT_TRUE(eas_of(read->decoder.config.eas, 1).holds_both());
  EXPECT_EQ(read->facts.parameters->total(), model->facts.parameters->total());
  const io::Checkpoint file = io::Checkpoint::open(read->folder);
  EXPECT_TRUE(file.contains("language_model.model.layers.1.router.weight"));
  EXPECT_EQ(file.at("language_model.model.layers.1.replaced_adapter.conv_C.weight").shape,
            (std::vector<int64_t>{6, 32, 1}));
  for (const std::string& name : io::Checkpoint::open(kHf).names()) EXPECT_TRUE(file.contains(name)) << name;
}

TEST_F(Tuned, AFinalPlanLeavesWhatItRuns) {
  const fs::path base = temp_.path / "both";
  test::write_both(base);
  const auto model = open_model(base, {.learns = all_learn});
  model->plan = parsed(*model, R"({"method": "eas", "layers": [1, 4]})");
  train(*model);
  const auto all = written(*model);
  EXPECT_TRUE(fs::exists(all->folder / "plan.json"));
  EXPECT_TRUE(eas_of(all->decoder.config.eas, 1).holds_both());
  const auto read = written(*model, {.plan_is_final = true});
  EXPECT_FALSE(fs::exists(read->folder / "plan.json"));
  EXPECT_FALSE(read_json_file(read->folder / "config.json").contains("fixed_sites"));
  for (int64_t layer = 0; layer < test::kBothLayers; ++layer) {
    const EasLayer eas = eas_of(read->decoder.config.eas, layer);
    const bool off = layer == 1 || layer == 4;
    EXPECT_EQ(eas.attention, !off);
    EXPECT_EQ(eas.pia.has_value(), off);
    EXPECT_EQ(eas.adapter.has_value(), !off);
  }
}

TEST_F(Tuned, AddedTowerAdaptersLeaveTheTower) {
  const auto model = open_model(kOriginal);
  add_adapters(*model, {.reps = {{0}}, .pias = std::vector<int64_t>{}, .tower = true, .rep_rank = 4, .pia_rank = 4});
  train(*model, 0.1);
  const auto read = written(*model);
  EXPECT_EQ(differences(model->tower_folder, read->tower_folder), "");
  EXPECT_EQ(read->vision->tower.config.eas.size(), model->vision->tower.blocks.size());
}

/// transformers would take a second copy of the embeddings for a head of its own.
TEST_F(Tuned, ATiedHeadStaysTied) {
  const fs::path base = temp_.path / "tied";
  fs::copy(kHf, base, fs::copy_options::recursive);
  edit_json(base / "config.json", [](Json& json) { json["text_config"]["tie_word_embeddings"] = true; });
  edit_tensors(base / "model.safetensors", [](auto& tensors) {
    tensors["language_model.lm_head.weight"] = tensors.at("language_model.model.embed_tokens.weight");
  });
  const auto model = open_model(base, {.learns = all_learn});
  ASSERT_TRUE(model->decoder.config.tied_embeddings);
  train(*model);
  const auto read = written(*model);
  EXPECT_TRUE(read->decoder.config.tied_embeddings);
  EXPECT_FALSE(io::Checkpoint::open(read->folder).contains("language_model.lm_head.weight"));
}

/// Rows that only transformers looks up stay below the others.
TEST_F(Tuned, RowsThatTransformersNeedsStay) {
  const fs::path base = temp_.path / "converted";
  convert_folder(kOriginal, base, TargetLayout::hf);
  const auto model = open_model(base, {.learns = all_learn});
  train(*model);
  const auto read = written(*model);
  const Tensor head = tensor_over(io::Checkpoint::open(read->folder).at("language_model.lm_head.weight"));
  EXPECT_EQ(head.size(0), tensor_over(io::Checkpoint::open(base).at("language_model.lm_head.weight")).size(0));
  ASSERT_GT(head.size(0), model->decoder.config.vocab);
  for (int64_t row = model->decoder.config.vocab; row < head.size(0); ++row) EXPECT_TRUE(at::equal(head[row], head[0]));
}

TEST_F(Tuned, WhatCannotBeWrittenIsRefused) {
  const auto why = [&](Model& model, const plan::Plan& plan) {
    return refusal([&] { write_tuned(model, plan, temp_.path / "refused"); });
  };
  const auto model = random_model("llava-1.5-7b", 1, 1, WeightStorage::bfloat16, 1);
  EXPECT_NE(why(*model, {}).find("was not read from a folder"), std::string::npos);
  const auto lora = open_model(kHf, {.lora = fs::path(LITHE_TEST_DATA) / "lora" / "hf"});
  EXPECT_NE(why(*lora, {}).find("has LoRA"), std::string::npos);
  const auto eas = open_model(golden_folder("llava_eas") / "checkpoint");
  EXPECT_NE(why(*eas, {}).find("attention"), std::string::npos);
  EXPECT_FALSE(fs::exists(temp_.path / "refused"));
}

}  // namespace
}  // namespace lithe::models
