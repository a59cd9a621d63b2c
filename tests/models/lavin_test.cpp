// LaVIN as it is published: how its parts are found, LLaMA in Meta's layout, in several files and in the layout of
// transformers, OpenAI's CLIP, and what is missing or ambiguous.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>

#include <functional>

#include "base/error.h"
#include "checkpoints/read/catalogue.h"
#include "checkpoints/read/lavin_folder.h"
#include "checkpoints/read/meta_llama.h"
#include "checkpoints/write/converting.h"
#include "io/torch_file.h"
#include "models/lavin_folder.h"
#include "models/support.h"

namespace lithe::models {
namespace {

using test::link_lavin;

/// A folder with the parts, where LLaMA is a real folder of its own that a test may change.
class Lavin : public ::testing::Test {
 protected:
  Lavin() {
    link_lavin("lavin", folder_);
    fs::remove(folder_ / "llama");
    fs::create_directories(llama_);
    fs::copy(golden_folder("lavin") / "checkpoint/llama/tokenizer.model", llama_.parent_path());
    fs::copy(golden_folder("lavin") / "checkpoint/llama/7B/params.json", llama_);
    fs::copy(golden_folder("lavin") / "checkpoint/llama/7B/consolidated.00.safetensors", llama_);
  }

  std::string why() const {
    return refusal([&] { open_model(folder_); });
  }

  static void expect_same_weights(const Model& a, const Model& b) {
    std::map<WeightName, Tensor> held;
    visit(a, [&](const HeldWeight& weight) { held[weight.name] = weight.weight.widened(at::kFloat); });
    size_t compared = 0;
    visit(b, [&](const HeldWeight& weight) {
      ASSERT_TRUE(held.contains(weight.name)) << text_of(weight.name);
      EXPECT_TRUE(at::equal(held[weight.name], weight.weight.widened(at::kFloat))) << text_of(weight.name);
      ++compared;
    });
    EXPECT_EQ(compared, held.size());
  }

  TempFolder temp_;
  fs::path folder_ = temp_.path / "lavin", llama_ = folder_ / "llama/7B";
};

/// Some rows or columns of a matrix.
io::TensorView part_of(const io::TensorView& whole, int64_t dimension, int64_t part) {
  const Tensor x = tensor_over(whole);
  const int64_t size = x.size(dimension) / 2;
  const auto half = std::make_shared<Tensor>(x.narrow(dimension, part * size, size).contiguous());
  return {whole.dtype,
          half->sizes().vec(),
          {static_cast<const std::byte*>(half->const_data_ptr()), static_cast<size_t>(half->nbytes())},
          half,
          {}};
}

TEST_F(Lavin, SeveralFilesOfLlamaAreOneModel) {
  const auto whole = open_model(folder_);
  const io::SafetensorsFile file = io::open_safetensors(llama_ / "consolidated.00.safetensors");
  for (int64_t part = 0; part < 2; ++part) {
    std::vector<std::pair<std::string, io::TensorView>> tensors;
    for (const auto& [name, view] : file.tensors) {
      const bool columns = name.ends_with("wo.weight") || name.ends_with("w2.weight") || name.starts_with("tok_");
      tensors.emplace_back(name, view.shape.size() == 2 ? part_of(view, columns ? 1 : 0, part) : view);
    }
    io::write_safetensors(temp_.path / ("consolidated.0" + std::to_string(part) + ".safetensors"), tensors);
  }
  fs::remove(llama_ / "consolidated.00.safetensors");
  for (const char* name : {"consolidated.00.safetensors", "consolidated.01.safetensors"})
    fs::rename(temp_.path / name, llama_ / name);
  expect_same_weights(*whole, *open_model(folder_));
}

TEST_F(Lavin, PartsThatDoNotGoTogetherAreRefused) {
  const io::SafetensorsFile file = io::open_safetensors(llama_ / "consolidated.00.safetensors");
  auto tensors = file.tensors;
  tensors["norm.weight"] = part_of(tensors["norm.weight"], 0, 0);
  io::write_safetensors(llama_ / "consolidated.01.safetensors", {tensors.begin(), tensors.end()});
  EXPECT_NE(why().find("\"norm.weight\" is F16 [20], which does not go together with F16 [40]"), std::string::npos)
      << why();
  tensors.erase("norm.weight");
  io::write_safetensors(llama_ / "consolidated.01.safetensors", {tensors.begin(), tensors.end()});
  EXPECT_NE(why().find("the tensor \"norm.weight\" is missing"), std::string::npos) << why();
}

TEST_F(Lavin, FaultsOfMetasLayoutAreNamed) {
  const Json good = read_json_file(llama_ / "params.json");
  const auto with = [&](const std::string& key, const Json& value) {
    Json params = good;
    params[key] = value;
    write_text(llama_ / "params.json", params.dump());
    return why();
  };
  EXPECT_NE(with("dim", nullptr).find("the key 'dim' is missing"), std::string::npos) << why();
  EXPECT_NE(with("use_scaled_rope", true).find("'use_scaled_rope' is true"), std::string::npos) << why();
  write_text(llama_ / "params.json", good.dump());
  const io::SafetensorsFile file = io::open_safetensors(llama_ / "consolidated.00.safetensors");
  auto tensors = file.tensors;
  tensors["extra.weight"] = tensors["norm.weight"];
  io::write_safetensors(llama_ / "consolidated.01.safetensors", {tensors.begin(), tensors.end()});
  EXPECT_NE(why().find("consolidated.01.safetensors"), std::string::npos) << why();
  fs::rename(llama_ / "consolidated.01.safetensors", llama_ / "consolidated.02.safetensors");
  EXPECT_NE(why().find("consolidated.01.safetensors is missing"), std::string::npos) << why();
  fs::remove(llama_ / "consolidated.02.safetensors");
  std::vector<std::pair<std::string, io::TensorView>> half;
  for (const auto& [name, view] : file.tensors) {
    const bool columns = name.ends_with("wo.weight") || name.ends_with("w2.weight") || name.starts_with("tok_");
    half.emplace_back(name, view.shape.size() == 2 ? part_of(view, columns ? 1 : 0, 0) : view);
  }
  io::write_safetensors(temp_.path / "half.safetensors", half);
  fs::rename(temp_.path / "half.safetensors", llama_ / "consolidated.00.safetensors");
  EXPECT_NE(why().find("hold 20 of the 40 rows"), std::string::npos) << why();
}

// transformers rotates pairs of halves, so its rows of queries and keys lie in another order.
TEST_F(Lavin, LlamaOfTransformersIsTheSameModel) {
  const auto whole = open_model(folder_);
  std::map<std::string, io::TensorView> tensors;
  const MetaLlama meta(llama_);
  meta.put("model.", "", tensors);
  const Json config = meta.config();
  const fs::path other = folder_ / "llama/hf";
  fs::create_directories(other);
  io::write_safetensors(other / "model.safetensors", {tensors.begin(), tensors.end()});
  write_text(other / "config.json", config.dump());
  EXPECT_NE(why().find("LLaMA could be "), std::string::npos) << why();
  fs::remove_all(llama_);
  expect_same_weights(*whole, *open_model(folder_));
}

/// LLaMA as transformers saves it, in place of Meta's files. `names`: what a tensor is called; empty: left out.
void write_hf_llama(const fs::path& meta_folder, const fs::path& folder, const Json& more,
                    const std::function<std::string(const std::string&)>& names) {
  std::map<std::string, io::TensorView> tensors, renamed;
  const MetaLlama meta(meta_folder);
  meta.put("model.", "", tensors);
  for (const auto& [name, view] : tensors)
    if (const std::string as = names(name); !as.empty()) renamed.emplace(as, view);
  Json config = meta.config();
  config.update(more);
  fs::create_directories(folder);
  io::write_safetensors(folder / "model.safetensors", {renamed.begin(), renamed.end()});
  write_text(folder / "config.json", config.dump());
}

// Saved from LlamaModel, names have no "model." and the head is missing.
TEST_F(Lavin, LlamaWithoutAHeadIsReadIfItIsTied) {
  const fs::path other = folder_ / "llama/hf", meta = temp_.path / "meta";
  fs::rename(llama_, meta);
  const std::function<std::string(const std::string&)> bare = [](const std::string& name) {
    return name.starts_with("model.") ? name.substr(std::string("model.").size()) : std::string();
  };
  const std::function<std::string(const std::string&)> headless = [](const std::string& name) {
    return name.starts_with("lm_head") ? std::string() : name;
  };
  for (const auto& names : {bare, headless}) {
    write_hf_llama(meta, other, Json::object(), names);
    EXPECT_NE(why().find("LLaMA has no lm_head.weight"), std::string::npos) << why();
    write_hf_llama(meta, other, {{"tie_word_embeddings", true}}, names);
    const auto tied = open_model(folder_);
    EXPECT_TRUE(tied->decoder.config.tied_embeddings);
    EXPECT_TRUE(at::equal(tied->decoder.head.weight.widened(at::kFloat), tied->decoder.embeddings.widened(at::kFloat)));
  }
  const fs::path whole = temp_.path / "whole";
  convert_folder(folder_, whole, TargetLayout::hf);
  expect_same_weights(*open_model(folder_), *open_model(whole));
}

TEST_F(Lavin, LlamaWithoutThePrefixKeepsItsHead) {
  const auto before = open_model(folder_);
  const fs::path meta = temp_.path / "meta";
  fs::rename(llama_, meta);
  write_hf_llama(meta, folder_ / "llama/hf", Json::object(), [](const std::string& name) {
    return name.starts_with("model.") ? name.substr(std::string("model.").size()) : name;
  });
  expect_same_weights(*before, *open_model(folder_));
}

// A head that repeats the embeddings may be in the file.
TEST_F(Lavin, ATiedLlamaMayHoldACopyOfItsEmbeddings) {
  const fs::path meta = temp_.path / "meta";
  fs::rename(llama_, meta);
  const io::SafetensorsFile file = io::open_safetensors(meta / "consolidated.00.safetensors");
  auto tensors = file.tensors;
  tensors["output.weight"] = tensors["tok_embeddings.weight"];
  io::write_safetensors(temp_.path / "tied.safetensors", {tensors.begin(), tensors.end()});
  fs::rename(temp_.path / "tied.safetensors", meta / "consolidated.00.safetensors");
  write_hf_llama(meta, folder_ / "llama/hf", {{"tie_word_embeddings", true}}, [](const auto& name) { return name; });
  EXPECT_EQ(why(), "");
  EXPECT_TRUE(open_model(folder_)->decoder.config.tied_embeddings);
}

TEST_F(Lavin, TensorsThatFilesShareMustBeTheSame) {
  const io::SafetensorsFile file = io::open_safetensors(llama_ / "consolidated.00.safetensors");
  for (const char* changed : {"norm.weight", "layers.1.attention_norm.weight", "layers.0.ffn_norm.weight"}) {
    for (int64_t part = 0; part < 2; ++part) {
      std::vector<std::pair<std::string, io::TensorView>> tensors;
      for (const auto& [name, view] : file.tensors) {
        const bool columns = name.ends_with("wo.weight") || name.ends_with("w2.weight") || name.starts_with("tok_");
        tensors.emplace_back(name, view.shape.size() == 2 ? part_of(view, columns ? 1 : 0, part) : view);
        if (part == 0 || name != changed) continue;
        const auto other = std::make_shared<Tensor>(tensor_over(view) + 1);
        tensors.back().second = {view.dtype,
                                 view.shape,
                                 {static_cast<const std::byte*>(other->const_data_ptr()), view.bytes.size()},
                                 other,
                                 {}};
      }
      io::write_safetensors(temp_.path / ("consolidated.0" + std::to_string(part) + ".safetensors"), tensors);
    }
    const fs::path whole = temp_.path / "whole.safetensors";
    if (!fs::exists(whole)) fs::rename(llama_ / "consolidated.00.safetensors", whole);
    for (const char* name : {"consolidated.00.safetensors", "consolidated.01.safetensors"})
      fs::rename(temp_.path / name, llama_ / name);
    EXPECT_NE(why().find("consolidated.01.safetensors: tensor \"" + std::string(changed) + "\" differs from that of"),
              std::string::npos)
        << why();
  }
}

TEST_F(Lavin, AGateWithoutItsBiasIsMissing) {
  const io::Checkpoint whole =
      io::Checkpoint::open(golden_folder("lavin_eas") / "checkpoint/adapter/checkpoint-19.safetensors");
  for (const char* gate :
       {"layers.2.adapter_attn", "layers.2.replaced_adapter", "backbone.visual.transformer.resblocks.3.adapter_attn"}) {
    const fs::path eas = temp_.path / gate;
    link_lavin("lavin_eas", eas);
    fs::remove(eas / "adapter");
    fs::create_directory(eas / "adapter");
    std::vector<std::pair<std::string, io::TensorView>> tensors;
    for (const std::string& name : whole.names())
      if (name != concat("module.", gate, ".expert_weights.bias")) tensors.emplace_back(name, whole.at(name));
    ASSERT_EQ(tensors.size() + 1, whole.names().size());
    io::write_safetensors(eas / "adapter/checkpoint-19.safetensors", tensors);
    const std::string said = refusal([&] { open_model(eas); });
    EXPECT_NE(said.find("missing 1"), std::string::npos) << said;
    EXPECT_NE(said.find("expert_weights.bias"), std::string::npos) << said;
  }
}

TEST_F(Lavin, ScalesThatAreNotPositiveAreRefused) {
  for (const char* scale : {"0", "-1", "1e300", "\"1\""}) {
    write_text(folder_ / "config.json", std::string(R"({"model_type": "lavin", "eas": {"scale": )") + scale + "}}");
    EXPECT_NE(why().find("'scale'"), std::string::npos) << why();
  }
  write_text(folder_ / "config.json", R"({"model_type": "lavin", "eas": {"scale": NaN}})");
  EXPECT_NE(why(), "");
  write_text(folder_ / "config.json", R"({"model_type": "lavin", "eas": {"scale": 0.1}})");
  EXPECT_EQ(why(), "");
}

TEST_F(Lavin, TorchFilesAreTheSameModel) {
  const auto whole = open_model(folder_);
  const fs::path golden = golden_folder("lavin") / "checkpoint";
  fs::remove_all(folder_ / "llama");
  for (const char* part : {"llama", "clip", "adapter"}) {
    fs::remove(folder_ / part);
    fs::copy(golden / part, folder_ / part, fs::copy_options::recursive);
  }
  for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
    if (entry.path().extension() == ".safetensors") fs::remove(entry.path());
  }
  expect_same_weights(*whole, *open_model(folder_));
}

TEST_F(Lavin, ConvertedToOneFolderItIsTheSameModel) {
  for (const char* name : {"lavin", "lavin_eas"}) {
    const fs::path parts = temp_.path / name / "parts", whole = temp_.path / name / "whole";
    link_lavin(name, parts);
    const Converted converted = convert_folder(parts, whole, TargetLayout::hf);
    EXPECT_GT(converted.tensors, 500);
    const auto before = open_model(parts), after = open_model(whole);
    EXPECT_EQ(after->family, "lavin");
    EXPECT_EQ(after->plan, before->plan);
    EXPECT_EQ(gates_read_prompt(*after), gates_read_prompt(*before));
    EXPECT_EQ(after->prompting.tokenizer->size(), before->prompting.tokenizer->size());
    expect_same_weights(*before, *after);
    EXPECT_NE(refusal([&] {
                convert_folder(parts, temp_.path / "original", TargetLayout::original);
              }).find("LLaVA's own layout has no form for LaVIN"),
              std::string::npos);
  }
}

TEST_F(Lavin, IsWhatItSeems) {
  const auto model = open_model(folder_);
  EXPECT_EQ(model->family, "lavin");
  EXPECT_EQ(model->vision->tower.config.tokens(), 6);
  EXPECT_EQ(model->decoder.embeddings.type(), at::kHalf);  // as in the file
  EXPECT_TRUE(model->notes.empty());
  EXPECT_TRUE(model->plan.layers.empty());
  EXPECT_EQ(model->prompting.eos_ids, std::vector<int64_t>{2});
}

// Every layer of a published LaVIN-EAS checkpoint has both adapters, and no file says which attentions are skipped.
TEST_F(Lavin, EasWithoutAListOfLayersSaysSo) {
  const fs::path eas = temp_.path / "eas";
  link_lavin("lavin_eas", eas);
  EXPECT_EQ(open_model(eas)->plan.layers.size(), 3u);
  fs::remove(eas / "plan.json");
  const auto model = open_model(eas);
  EXPECT_TRUE(model->plan.layers.empty());
  ASSERT_EQ(model->notes.size(), 1u);
  EXPECT_NE(model->notes[0].find("no plan.json says which attentions the adapter skips"), std::string::npos);
}

// As `lithe tune` writes it: a PIA in the layers that are skipped, beside LLaMA's own attention.
TEST_F(Lavin, EasWithPiasInSomeLayersRunsThem) {
  const fs::path eas = temp_.path / "eas";
  link_lavin("lavin_eas", eas);
  fs::remove(eas / "plan.json");
  fs::remove(eas / "adapter");
  fs::create_directory(eas / "adapter");
  const fs::path golden = golden_folder("lavin_eas") / "checkpoint/adapter";
  const io::Checkpoint whole = io::Checkpoint::open(golden / "checkpoint-19.safetensors");
  std::vector<std::pair<std::string, io::TensorView>> tensors;
  for (const std::string& name : whole.names()) {
    const bool pia = name.find("replaced_adapter") != name.npos;
    if (!pia || name.find("layers.1.") != name.npos) tensors.emplace_back(name, whole.at(name));
  }
  io::write_safetensors(eas / "adapter/checkpoint-19.safetensors", tensors);
  const auto model = open_model(eas);
  ASSERT_EQ(model->plan.layers.size(), 1u);
  EXPECT_EQ(model->plan.layers[0].layer, 1);
  EXPECT_FALSE(model->plan.layers[0].self_attention);
  ASSERT_EQ(model->notes.size(), 1u);
  EXPECT_NE(model->notes[0].find("every PIA runs"), std::string::npos) << model->notes[0];
}

TEST_F(Lavin, ATowerOfAnotherKindOfValueIsRefused) {
  write_text(folder_ / "config.json", R"({"model_type": "lavin", "vision_config": 5})");
  EXPECT_NE(why().find("'vision_config' is not an object"), std::string::npos) << why();
}

TEST_F(Lavin, TheLastEpochIsTheAdapter) {
  fs::remove(folder_ / "adapter");
  const fs::path golden = golden_folder("lavin") / "checkpoint/adapter/checkpoint-19.safetensors";
  fs::copy(golden, folder_ / "checkpoint-9.safetensors");
  fs::copy(golden, folder_ / "checkpoint-10.safetensors");
  EXPECT_EQ(LavinFolder::open(folder_).parts()->adapter, folder_ / "checkpoint-10.safetensors");
  write_text(folder_ / "config.json", R"({"model_type": "lavin", "adapter": "checkpoint-9.safetensors"})");
  EXPECT_EQ(LavinFolder::open(folder_).parts()->adapter, folder_ / "checkpoint-9.safetensors");
  write_text(folder_ / "config.json", R"({"model_type": "lavin", "adapter": "checkpoint-8.safetensors"})");
  EXPECT_NE(why().find("'adapter' names \"checkpoint-8.safetensors\", which is not there"), std::string::npos) << why();
}

TEST_F(Lavin, WithoutAnAdapterThereIsSomethingToTune) {
  fs::remove(folder_ / "adapter");
  const auto model =
      open_model(folder_, {.learns = [](const WeightName& name) { return name.part == Part::projector; }});
  ASSERT_EQ(model->notes.size(), 1u);
  EXPECT_NE(model->notes[0].find("there is no adapter"), std::string::npos);
  EXPECT_TRUE(model->vision->projector.layers[0].weight.learning());
  EXPECT_EQ(model->vision->projector.widths[1], 128);
  EXPECT_FALSE(model->decoder.modality->learning());
}

TEST_F(Lavin, MissingAndSurplusPartsAreNamed) {
  fs::remove(folder_ / "clip");
  EXPECT_NE(why().find("the vision tower is missing; put OpenAI's ViT-L-14.pt into it"), std::string::npos) << why();
  const fs::path clip = golden_folder("lavin") / "checkpoint/clip/ViT-L-14.safetensors";
  fs::copy(clip, folder_ / "ViT-L-14.safetensors");
  EXPECT_EQ(why(), "");
  fs::copy(clip, folder_ / "ViT-B-16.safetensors");
  EXPECT_NE(why().find("the vision tower could be "), std::string::npos) << why();
  fs::remove(folder_ / "ViT-B-16.safetensors");
  fs::remove(llama_ / "consolidated.00.safetensors");
  EXPECT_NE(why().find("has a params.json, but no consolidated.00.pth"), std::string::npos) << why();
}

TEST_F(Lavin, HostileSizesAreRefused) {
  for (const char* params :
       {R"({"dim": 40, "n_layers": 8, "n_heads": 0})", R"({"dim": 40, "n_layers": 8, "n_heads": 3})",
        R"({"dim": -1, "n_layers": 8, "n_heads": 4})", R"({"dim": 40, "n_layers": 9, "n_heads": 4})", "[]"}) {
    write_text(llama_ / "params.json", params);
    EXPECT_NE(why(), "") << params;
  }
}

}  // namespace
}  // namespace lithe::models
