// LoRA that begins as PEFT's, and the PEFT folders that it is written as.
#include "checkpoints/write/lora_folder.h"

#include <ATen/ops/equal.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <set>

#include "allocation_meter.h"
#include "checkpoints/read/catalogue.h"
#include "checkpoints/write/converting.h"
#include "io/checkpoint.h"
#include "models/additions.h"
#include "models/training.h"
#include "plan/parse.h"

namespace lithe::models {
namespace {

std::set<std::string> adapted(const Model& model) {
  std::set<std::string> names;
  visit(model, [&](const HeldWeight& held) {
    if (held.linear && held.linear->low_rank) names.insert(text_of(held.name));
  });
  return names;
}

TEST(AddLora, BeginsAsPeftDoes) {
  const auto plain = open_model(kHf), model = open_model(kHf);
  add_lora(*model, {.rank = 4, .alpha = 6, .seed = 9});
  EXPECT_TRUE(outputs_of(*model) == outputs_of(*plain));
  EXPECT_EQ(adapted(*model).size(), model->decoder.blocks.size() * 7);
  int64_t factors = 0;
  std::vector<Tensor> firsts;
  visit(model->decoder, [&](const WeightSlot& slot) {
    const bool is_a = slot.name.kind == Kind::factor_a, is_b = slot.name.kind == Kind::factor_b;
    if (!is_a && !is_b) return;
    ++factors;
    const Tensor values = std::get<nn::Weight*>(slot.place)->learning().value();
    EXPECT_TRUE(values.is_leaf() && values.scalar_type() == at::kFloat) << text_of(slot.name);
    EXPECT_EQ(values.sizes().vec(), slot.shape);
    const double bound = is_a ? 1 / std::sqrt(static_cast<double>(slot.shape[1])) : 0,
                 most = values.abs().max().item<double>();
    EXPECT_LE(most, bound);
    EXPECT_GE(most, 0.8 * bound);
    if (is_a) firsts.push_back(values.flatten().narrow(0, 0, 32));
  });
  EXPECT_EQ(factors, static_cast<int64_t>(adapted(*model).size()) * 2);
  EXPECT_FALSE(at::equal(firsts[0], firsts[1]));
  const nn::LowRank& added = *std::get<nn::Attention>(model->decoder.blocks[0].sites[0].branch).query.low_rank;
  EXPECT_EQ(added.scale, 1.5);
  EXPECT_EQ((LoraShape{.rank = 4, .alpha = 6, .rank_stabilised = true}).scale(), 3);
  EXPECT_EQ(model->facts.low_rank.size(), adapted(*model).size());
}

TEST(AddLora, GoesWhereItsNamesSay) {
  const auto by = [](const LoraShape& shape) {
    const auto model = open_model(kHf);
    add_lora(*model, shape);
    return adapted(*model);
  };
  const std::set<std::string> some = by({.target_modules = {"q_proj", "mlp.down_proj", "lm_head"}});
  EXPECT_EQ(some.size(), 3 * 2 + 1u);
  EXPECT_TRUE(some.contains("lm_head.weight") && some.contains("layers.2.mlp.down_proj.weight"));
  const auto tower = by({.target_modules = {"q_proj", "linear_2"}, .projector = true, .tower = true});
  EXPECT_TRUE(tower.contains("encoder.layers.0.self_attn.q_proj.weight") && tower.contains("1.weight"));
  EXPECT_FALSE(tower.contains("0.weight"));
  const auto all = by({.projector = true, .tower = true});
  EXPECT_FALSE(all.contains("embeddings.patch_embedding.weight") || all.contains("lm_head.weight"));
  EXPECT_TRUE(all.contains("0.weight") && all.contains("encoder.layers.0.mlp.fc1.weight"));
}

TEST(AddLora, WhatMakesNoSenseIsRefused) {
  const auto refused = [](Model& model, const LoraShape& shape, const std::string& part) {
    const std::string said = refusal([&] { add_lora(model, shape); });
    EXPECT_NE(said.find(part), std::string::npos) << said;
  };
  const auto model = open_model(kHf);
  refused(*model, {.rank = 0}, "rank must be more than 0");
  refused(*model, {.target_modules = {}}, "go on no product");
  refused(*model, {.target_modules = {"proj"}}, "no product that LoRA may go on is called \"proj\"");
  refused(*model, {.target_modules = {"linear_1"}}, "is called \"linear_1\"");
  EXPECT_TRUE(adapted(*model).empty());
  const auto lora = open_model(kHf, {.lora = fs::path(LITHE_TEST_DATA) / "lora" / "hf"});
  refused(*lora, {}, "has LoRA already");
}

class LoraFolders : public ::testing::Test {
 protected:
  /// Writes the LoRA, opens it by its own folder and over the base, and compares.
  std::unique_ptr<Model> written(const Model& model, const LoraShape& shape) {
    folder_ = temp_.path / ("lora" + std::to_string(folders_++));
    write_lora(model, shape, model.plan, folder_);
    auto read = open_model(folder_);
    EXPECT_EQ(read->plan.layers, model.plan.layers);
    EXPECT_EQ(adapted(*read), adapted(model));
    EXPECT_TRUE(outputs_of(*read) == outputs_of(model)) << model.name;
    EXPECT_TRUE(outputs_of(*open_model(model.folder, {.lora = folder_})) == outputs_of(model)) << model.name;
    return read;
  }
  Json config() const { return read_json_file(folder_ / "adapter_config.json"); }

  TempFolder temp_;
  fs::path folder_;
  int folders_ = 0;
};

// The base's codes are widened for no file.
TEST_F(LoraFolders, AreWrittenOverCodesInLittleMemory) {
  const auto model = open_model(kHf, {.weights = WeightStorage::int8});
  const LoraShape shape{.rank = 2};
  add_lora(*model, shape);
  int64_t widest = 0, all = 0;
  visit(*model, [&](const HeldWeight& held) {
    if (!held.weight.has_codes()) return;
    const int64_t bytes = held.weight.count() * static_cast<int64_t>(sizeof(float));
    widest = std::max(widest, bytes);
    all += bytes;
  });
  ASSERT_GT(all, 4 * widest);
  const auto meter = std::make_shared<test::AllocationMeter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
  write_lora(*model, shape, model->plan, temp_.path / "over-codes");
  EXPECT_LT(meter->peak(), widest);
}

TEST_F(LoraFolders, OpenAsTheModelThatLearned) {
  for (const fs::path& base : {kHf, golden_folder("hf_llavanext") / "checkpoint", kOriginal, kPmod,
                               golden_folder("llava_eas") / "checkpoint"}) {
    for (const bool everywhere : {false, true}) {
      const auto model = open_model(base);
      const LoraShape shape{
          .rank = 4, .alpha = 6, .rank_stabilised = true, .projector = everywhere, .tower = everywhere, .seed = 3};
      add_lora(*model, shape);
      train(*model, 0.1);
      written(*model, shape);
    }
  }
}

TEST_F(LoraFolders, NameWhatPeftIsToAdapt) {
  const auto targets = [&](const fs::path& base, const LoraShape& shape) {
    const auto model = open_model(base);
    add_lora(*model, shape);
    train(*model, 0.1);
    written(*model, shape);
    EXPECT_EQ(config()["modules_to_save"], Json());
    return config()["target_modules"];
  };
  LoraShape shape{.rank = 2, .target_modules = {"q_proj", "lm_head"}};
  EXPECT_EQ(targets(kOriginal, shape), Json({"lm_head", "q_proj"}));
  const std::string layer = "model.language_model.layers.";  // the tower has a q_proj too
  EXPECT_EQ(targets(kHf, shape), Json({"lm_head", layer + "0.self_attn.q_proj", layer + "1.self_attn.q_proj",
                                       layer + "2.self_attn.q_proj"}));
  EXPECT_TRUE(io::Checkpoint::open(folder_ / "adapter_model.safetensors")
                  .contains("base_model.model." + layer + "0.self_attn.q_proj.lora_A.weight"));
  shape.tower = true;
  const Json tower = targets(kHf, shape);  // and its last layer, which is not run, another one
  EXPECT_EQ(tower.size(), 4 + open_model(kHf)->vision->tower.blocks.size());
  EXPECT_TRUE(io::Checkpoint::open(folder_ / "adapter_model.safetensors")
                  .contains("base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj.lora_A.weight"));
  EXPECT_EQ(targets(kHf, {.target_modules = {"down_proj"}}), Json({"down_proj"}));
}

TEST_F(LoraFolders, BringWhatLearnedWhole) {
  for (const fs::path& base : {kHf, kOriginal}) {
    const auto model = open_model(base, {.learns = [](const WeightName& name) {
                                    return (name.part == Part::projector && name.kind == Kind::weight) ||
                                           name.role == Role::embeddings || name.role == Role::last_norm ||
                                           name.role == Role::patches;
                                  }});
    const LoraShape shape{.rank = 4};
    add_lora(*model, shape);
    train(*model);
    const auto read = written(*model, shape);
    EXPECT_GE(read->loaded.lora->whole, 6);  // the projector's biases with its weights
    EXPECT_GE(config()["modules_to_save"].size(), 4u);
    // Continued: what was whole stays, although it does not learn any more.
    const auto again = open_model(folder_, {.learns = [](const WeightName& name) {
                                    return name.kind == Kind::factor_a || name.kind == Kind::factor_b;
                                  }});
    train(*again, 0.1);
    EXPECT_FALSE(outputs_of(*again) == outputs_of(*model));
    written(*again, shape);
  }
}

TEST_F(LoraFolders, BringRoutersAndAdapters) {
  for (const fs::path& base : {kHf, kOriginal}) {
    const auto model = open_model(base);
    const LoraShape shape{.rank = 4};
    add_routers(*model, {{1, 2}});
    add_adapters(*model, {.reps = {{0, 2}}, .pias = {{1}}, .tower = true, .rep_rank = 4, .pia_rank = 4, .scale = 0.5});
    add_lora(*model, shape);
    model->plan = plan::parse_plan(parse_json(R"({"layers": [
        {"layer": 1, "attention": "off"},
        {"layer": 2, "rules": [{"group": "vision", "keep_share": 0.5, "by": "router", "gate": "tanh_norm"}]}]})",
                                              "test"),
                                   "test", model->facts);
    train(*model, 0.1);
    written(*model, shape);
    const auto again = open_model(folder_, {.learns = [](const WeightName& name) {
                                    return name.role == Role::router || name.adapter == Adapter::pia;
                                  }});
    train(*again, 0.1);
    written(*again, shape);
    EXPECT_EQ(config()["modules_to_save"], Json());
  }
}

TEST_F(LoraFolders, ATiedHeadStaysTied) {
  const fs::path base = temp_.path / "tied";
  fs::copy(kHf, base, fs::copy_options::recursive);
  edit_json(base / "config.json", [](Json& json) { json["text_config"]["tie_word_embeddings"] = true; });
  edit_tensors(base / "model.safetensors", [](auto& tensors) { tensors.erase("language_model.lm_head.weight"); });
  const auto model = open_model(base, {.learns = [](const WeightName& name) { return name.role == Role::embeddings; }});
  EXPECT_NE(refusal([&] { add_lora(*model, {.target_modules = {"lm_head"}}); }).find("its head is the embeddings"),
            std::string::npos);
  const LoraShape shape{.rank = 4};
  add_lora(*model, shape);
  train(*model);
  EXPECT_TRUE(written(*model, shape)->decoder.config.tied_embeddings);
}

/// A folder that `convert` made has rows of embeddings and head that only transformers looks up.
TEST_F(LoraFolders, FitABaseWithMoreRows) {
  const fs::path base = temp_.path / "converted";
  convert_folder(kOriginal, base, TargetLayout::hf);
  const auto model = open_model(base, {.learns = [](const WeightName& name) { return name.role == Role::embeddings; }});
  const LoraShape shape{.rank = 4, .target_modules = {"v_proj", "lm_head"}};
  add_lora(*model, shape);
  train(*model);
  written(*model, shape);
}

TEST_F(LoraFolders, WhatCannotBeWrittenIsRefused) {
  const auto why = [&](const Model& model, const LoraShape& shape) {
    return refusal([&] { write_lora(model, shape, model.plan, temp_.path / "refused"); });
  };
  const LoraShape shape{.rank = 4};
  const auto plain = open_model(kHf), model = open_model(kHf);
  EXPECT_NE(why(*plain, shape).find("has no LoRA"), std::string::npos);
  add_lora(*model, shape);
  EXPECT_NE(why(*model, {.rank = 8}).find("has rank 4"), std::string::npos);
  const auto whole = open_model(kHf, {.learns = [](const WeightName& name) { return name.role == Role::query; }});
  add_lora(*whole, shape);
  EXPECT_NE(why(*whole, shape).find("let only one of both learn"), std::string::npos);
  EXPECT_FALSE(fs::exists(temp_.path / "refused"));
  train(*model, std::numeric_limits<double>::infinity());
  EXPECT_NE(why(*model, shape).find("not finite; lower the learning rate"), std::string::npos);
  const auto random = random_model("llava-1.5-7b", 1, 1, WeightStorage::bfloat16, 1);
  EXPECT_NE(why(*random, shape).find("was not read from a folder"), std::string::npos);
}

}  // namespace
}  // namespace lithe::models
