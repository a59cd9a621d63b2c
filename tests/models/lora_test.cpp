// LoRA applied and folded, over every layout: against PEFT's own numbers (tests/data/lora), and against products whose
// weights were added up by hand.
#include "checkpoints/read/lora.h"

#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>

#include "checkpoints/read/catalogue.h"
#include "checkpoints/write/folding.h"
#include "models/peft_folder.h"
#include "models/training.h"
#include "ops/tensor_support.h"

namespace lithe::models {
namespace {

const fs::path kPeft = fs::path(LITHE_TEST_DATA) / "lora";

/// Relative to the largest expected number.
double deviation(const Tensor& actual, const Tensor& expected) {
  EXPECT_EQ(actual.sizes(), expected.sizes());
  return ((actual - expected).abs().max() / expected.abs().max()).item<double>();
}

/// A layout's names: the prefix of "layers.0...", and the names of its projector, tower and head.
struct Names {
  const char* golden;
  const char* decoder;
  const char* projector;  // Of the first product.
  const char* tower;
  const char* head;
  const char* wrapped = "";  // After the number of layer `routed`.
  int64_t routed = -1;
};

class Lora : public ::testing::TestWithParam<Names> {
 protected:
  void SetUp() override {
    base_ = open_model(golden_folder(GetParam().golden) / "checkpoint");
    const DecoderConfig& decoder = base_->decoder.config;
    const int64_t h = decoder.hidden, width = base_->vision->tower.config.width;
    const std::string names = GetParam().decoder;
    adapter_.add_layer(names + "layers.1.", h, decoder.intermediate);
    adapter_.add(names + "layers.0.self_attn.v_proj", h, h);
    const int64_t routed = GetParam().routed;
    if (routed >= 0)
      adapter_.add(concat(names, "layers.", routed, GetParam().wrapped, ".mlp.up_proj"), decoder.intermediate, h);
    adapter_.add(GetParam().projector, h, width);
    for (int64_t layer = 0; layer < base_->vision->tower.config.layers; ++layer)  // the last is not run
      adapter_.add(concat(GetParam().tower, "encoder.layers.", layer, ".self_attn.out_proj"), width, width);
    adapter_.add(GetParam().head, decoder.vocab, h);
    adapter_.write(folder_.path / "adapter");
  }

  std::unique_ptr<Model> adapted() const { return open_model(base_->folder, {.lora = folder_.path / "adapter"}); }

  TempFolder folder_;
  test::PeftFolder adapter_;
  std::unique_ptr<Model> base_;
};

/// The base model with W + s B A in place of W.
std::unique_ptr<Model> added_up(const fs::path& folder, const test::PeftFolder& adapter) {
  auto model = open_model(folder);
  const double scale = adapter.config.at("lora_alpha").get<double>() / adapter.config.at("r").get<double>();
  int64_t changed = 0;
  const auto add = [&](const WeightSlot& slot) {
    if (!slot.linear) return;
    const std::string product = plain_name(model->loaded.origins.at(slot.name).name);
    for (const auto& [name, view] : adapter.tensors) {
      const std::string end = ".lora_A.weight";
      if (!name.ends_with(end)) continue;
      const std::string module = name.substr(0, name.size() - end.size());
      if (plain_name(module.substr(std::string("base_model.model.").size())) + ".weight" != product) continue;
      const Tensor a = tensor_over(view), b = tensor_over(adapter.tensors.at(module + ".lora_B.weight"));
      const Tensor term = scale * b.to(at::kDouble).matmul(a.to(at::kDouble));
      put(slot.place, (held_at(slot.place).widened(at::kDouble) + term).to(at::kFloat));
      ++changed;
    }
  };
  visit(model->decoder, add);
  visit(model->vision->tower, add);
  visit(model->vision->projector, add);
  EXPECT_GE(changed, 10);
  return model;
}

TEST_P(Lora, IsTheSumOfItsFactors) {
  const c10::InferenceMode no_gradients;
  const auto model = adapted();
  const Outputs plain = outputs_of(*added_up(base_->folder, adapter_)), lora = outputs_of(*model);
  EXPECT_LT(deviation(lora.logits, plain.logits), 1e-5);
  EXPECT_LT(deviation(lora.projected, plain.projected), 1e-5);
  EXPECT_GT(deviation(lora.logits, outputs_of(*base_).logits), 1e-2);
  EXPECT_EQ(model->loaded.lora->products, static_cast<int64_t>(adapter_.tensors.size()) / 2 - 1);
  EXPECT_EQ(model->facts.parameters->decoder, base_->facts.parameters->decoder);
  EXPECT_GT(model->facts.parameters->adapters, base_->facts.parameters->adapters);
}

TEST_P(Lora, FoldsIntoAnOrdinaryFolder) {
  const c10::InferenceMode no_gradients;
  const auto model = adapted();
  const FoldCount count = write_folded(*model, nullptr, folder_.path / "folded");
  EXPECT_EQ(count.low_rank, model->loaded.lora->products);
  EXPECT_EQ(count.rounding, 0);
  const auto folded = open_model(folder_.path / "folded");
  EXPECT_FALSE(folded->loaded.lora);
  const Outputs before = outputs_of(*model), after = outputs_of(*folded);
  EXPECT_LT(deviation(after.logits, before.logits), 1e-5);
  EXPECT_LT(deviation(after.projected, before.projected), 1e-5);
  if (base_->decoder.config.eas.empty()) {
    EXPECT_EQ(io::Checkpoint::open(folder_.path / "folded").names(), io::Checkpoint::open(base_->folder).names());
  }
  EXPECT_EQ(folded->facts.low_rank.size(), 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Layouts, Lora,
    ::testing::Values(Names{"hf_llava15", "model.language_model.", "model.multi_modal_projector.linear_1",
                            "model.vision_tower.", "lm_head"},
                      Names{"hf_llavanext", "language_model.model.", "multi_modal_projector.linear_1",
                            "vision_tower.vision_model.", "language_model.lm_head"},
                      Names{"liuhaotian_llava15", "model.", "model.mm_projector.0",
                            "model.vision_tower.vision_tower.vision_model.", "lm_head"},
                      Names{"pmod_llava15", "model.", "model.mm_projector.0",
                            "model.vision_tower.vision_tower.vision_model.", "lm_head", ".decoder_layer", 7},
                      Names{"llava_eas", "model.", "model.mm_projector.0",
                            "model.vision_tower.vision_tower.vision_model.", "lm_head", "", 3}),
    [](const auto& info) { return std::string(info.param.golden); });

/// A PEFT folder of tests/data/lora beside the base model that it names.
class FromPeft : public ::testing::Test {
 protected:
  fs::path beside(const std::string& adapter, const fs::path& base, const std::string& name) {
    fs::copy(kPeft / adapter, folder_.path / adapter);
    fs::copy(base, folder_.path / name, fs::copy_options::recursive);
    return folder_.path / adapter;
  }
  static Tensor expected(const fs::path& folder, const std::string& name) {
    return tensor_over(io::open_safetensors(folder / "expected.safetensors").tensors.at(name)).clone();
  }
  Tensor expected_ids(const fs::path& folder) const {
    const auto file = io::open_safetensors(folder / "expected.safetensors");
    const auto values = file.tensors.at("ids").values<int32_t>();
    Tensor ids = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
    for (size_t i = 0; i < values.size(); ++i) ids[static_cast<int64_t>(i)] = values[i];
    return ids;
  }
  double off(const Model& model, const fs::path& folder) const {
    const Tensor rows = model.decoder.embed(expected_ids(folder));
    const std::vector<routing::RowKind> kinds(static_cast<size_t>(rows.size(0)), routing::RowKind::text);
    return deviation(prefill(model, rows, kinds).logits, expected(folder, "logits"));
  }

  TempFolder folder_;
};

TEST_F(FromPeft, HuggingFace) {
  const fs::path folder = beside("hf", golden_folder("hf_llava15") / "checkpoint", "base");
  const auto model = open_model(folder);
  EXPECT_EQ(model->name, "base");
  EXPECT_EQ(model->loaded.lora->lowest_rank, 2);
  EXPECT_EQ(model->loaded.lora->highest_rank, 8);
  EXPECT_LT(off(*model, folder), 1e-5);
  const Tensor projected =
      model->vision->projector(model->vision->tower.features(expected(folder, "pixels")).flatten(0, 1));
  EXPECT_LT(deviation(projected, expected(folder, "projected")), 1e-5);
  write_folded(*model, nullptr, folder_.path / "folded");
  EXPECT_LT(off(*open_model(folder_.path / "folded"), folder), 1e-5);
}

/// LLaVA's own LoRA: the base is a Vicuna without projector, the config and the projector come with the adapter.
TEST_F(FromPeft, OriginalOverAVicuna) {
  const fs::path golden = golden_folder("liuhaotian_llava15"),
                 folder = beside("original", golden / "checkpoint", "vicuna");
  fs::copy(golden / "vision_tower", folder_.path / "vision_tower", fs::copy_options::recursive);
  edit_tensors(folder_.path / "vicuna" / "model.safetensors", [](auto& tensors) {
    std::erase_if(tensors, [](const auto& entry) { return entry.first.find("mm_projector") != std::string::npos; });
  });
  edit_json(folder_.path / "vicuna" / "config.json", [](Json& json) { json = {{"model_type", "llama"}}; });
  const auto model = open_model(folder);
  EXPECT_EQ(model->name, "original");
  EXPECT_EQ(model->loaded.lora->whole, 4);
  EXPECT_EQ(deviation(*model->vision->projector.layers[0].bias, expected(folder, "projector.0.bias")), 0);
  EXPECT_LT(off(*model, folder), 1e-5);
  EXPECT_LT(off(*open_model(folder_.path / "vicuna", {.lora = folder}), folder), 1e-5);
  write_folded(*model, nullptr, folder_.path / "folded");
  const auto folded = open_model(folder_.path / "folded");
  EXPECT_LT(off(*folded, folder), 1e-5);
  EXPECT_EQ(folded->prompting.conversation, model->prompting.conversation);
}

/// p-MoD's training wraps routed layers; a Vicuna under it has plain ones, and the routers come with the adapter.
TEST_F(FromPeft, RoutersOverPlainLayers) {
  const c10::InferenceMode no_gradients;
  const fs::path golden = golden_folder("pmod_llava15"), adapter = folder_.path / "adapter";
  fs::copy(golden / "checkpoint", folder_.path / "base", fs::copy_options::recursive);
  fs::copy(golden / "vision_tower", folder_.path / "vision_tower", fs::copy_options::recursive);
  test::PeftFolder made;
  made.add("model.layers.7.decoder_layer.mlp.down_proj", 48, 96);
  edit_tensors(folder_.path / "base" / "model.safetensors", [&](auto& tensors) {
    std::map<std::string, io::TensorView> plain;
    for (const auto& [name, view] : tensors) {
      const bool goes = name.find("mm_projector") != name.npos || name.find(".router.") != name.npos;
      const size_t at = name.find("decoder_layer.");
      if (goes) made.tensors["base_model.model." + name] = view;
      if (!goes) plain[at == name.npos ? name : name.substr(0, at) + name.substr(at + 14)] = view;
    }
    tensors = plain;
  });
  made.write(adapter);
  fs::rename(folder_.path / "base" / "config.json", adapter / "config.json");
  write_text(folder_.path / "base" / "config.json", R"({"model_type": "llama"})");
  const auto model = open_model(adapter), whole = open_model(golden / "checkpoint", {.lora = adapter});
  EXPECT_EQ(model->facts.routers.size(), 7u);
  const Tensor logits = outputs_of(*model).logits;
  EXPECT_EQ(deviation(logits, outputs_of(*whole).logits), 0);
  write_folded(*model, nullptr, folder_.path / "folded");
  EXPECT_LT(deviation(outputs_of(*open_model(folder_.path / "folded")).logits, logits), 1e-5);
  EXPECT_EQ(io::Checkpoint::open(folder_.path / "folded").names(), io::Checkpoint::open(golden / "checkpoint").names());
}

TEST_F(FromPeft, WhatIsNotFiniteIsNotFolded) {
  const fs::path base = golden_folder("liuhaotian_llava15") / "checkpoint";
  const std::string query = "base_model.model.model.layers.0.self_attn.q_proj.";
  const auto why = [&](float a, float b, WeightStorage weights) {
    test::PeftFolder adapter(1, 1);
    adapter.tensors[query + "lora_A.weight"] = io::tensor_of<float>({1, 32}, std::vector<float>(32, a));
    adapter.tensors[query + "lora_B.weight"] = io::tensor_of<float>({32, 1}, std::vector<float>(32, b));
    adapter.write(folder_.path / "adapter");
    const auto model = open_model(base, {.lora = folder_.path / "adapter", .weights = weights});
    fs::remove_all(folder_.path / "folded");
    return refusal([&] { write_folded(*model, nullptr, folder_.path / "folded"); });
  };
  const std::string nan = why(std::nanf(""), 1, WeightStorage::float32), wide = why(1e4f, 1e2f, WeightStorage::float16);
  EXPECT_NE(nan.find("q_proj.weight\" holds numbers that are not finite"), std::string::npos) << nan;
  EXPECT_NE(wide.find("which float16 cannot hold; fold with --weights bfloat16"), std::string::npos) << wide;
}

TEST_F(FromPeft, SixteenBitsAreRoundedOnce) {
  const c10::InferenceMode no_gradients;
  const LoadOptions options{.lora = kPeft / "hf", .weights = WeightStorage::bfloat16};
  const auto model = open_model(golden_folder("hf_llava15") / "checkpoint", options);
  const FoldCount count = write_folded(*model, nullptr, folder_.path / "folded");
  EXPECT_GT(count.rounding, 0);
  EXPECT_LE(count.rounding, 1.0 / 256);  // half a unit in the last of bfloat16's 8 digits
  const auto folded = open_model(folder_.path / "folded");
  EXPECT_EQ(folded->decoder.blocks[0].find(routing::Site::Kind::self)->norm.gain.scalar_type(), at::kFloat);
  EXPECT_LT(deviation(outputs_of(*folded).logits, outputs_of(*model).logits), 4e-2);
}

}  // namespace
}  // namespace lithe::models
