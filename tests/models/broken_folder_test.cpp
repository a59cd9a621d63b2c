#include <sys/stat.h>

#include "checkpoints/read/catalogue.h"
#include "support.h"

namespace lithe::models {
namespace {

/// A copy of a golden case with its checkpoint, to be broken.
class BrokenFolder : public ::testing::Test {
 protected:
  void take(const std::string& name) {
    fs::copy(golden_folder(name) / "checkpoint", temp_.path / "checkpoint", fs::copy_options::recursive);
    if (fs::exists(golden_folder(name) / "vision_tower"))
      fs::copy(golden_folder(name) / "vision_tower", temp_.path / "vision_tower", fs::copy_options::recursive);
  }
  fs::path folder() const { return temp_.path / "checkpoint"; }
  fs::path weights() const { return folder() / "model.safetensors"; }

  /// The sentence with which opening fails; it must be one line.
  std::string why() const {
    const std::string sentence = refusal([&] { open_model(folder()); });
    EXPECT_FALSE(sentence.empty());
    EXPECT_EQ(sentence.find('\n'), std::string::npos);
    return sentence;
  }

  void expect(const std::string& part) const { EXPECT_NE(why().find(part), std::string::npos) << why(); }

  void set(const char* key, const Json& value, const char* file = "config.json") {
    edit_json(folder() / file, [&](Json& json) { json[key] = value; });
  }

 private:
  TempFolder temp_;
};

TEST_F(BrokenFolder, NamesEveryFaultAtOnce) {
  take("pmod_llava15");
  edit_tensors(weights(), [](auto& tensors) {
    tensors.erase("model.norm.weight");
    tensors.erase("model.layers.5.router.router.weight");
    tensors["model.extra.weight"] = tensors["lm_head.weight"];
    tensors["lm_head.weight"] = io::tensor_of<float>({2, 2}, std::vector<float>(4));
  });
  expect(
      "missing 2: model.layers.5.router.router.weight, model.norm.weight; unexpected 1: model.extra.weight; misshapen "
      "1: lm_head.weight file [2, 2], model [400, 48]");
}

TEST_F(BrokenFolder, ManyMissingNamesAreCounted) {
  take("pmod_llava15");
  set("num_hidden_layers", 40);
  set("mod_target_layer_indices", nullptr);
  expect(" more");
}

TEST_F(BrokenFolder, IntegersAreNoWeights) {
  take("hf_llava15");
  edit_tensors(weights(), [](auto& tensors) {
    tensors["language_model.model.norm.weight"] = io::tensor_of<int32_t>({32}, std::vector<int32_t>(32));
  });
  expect("language_model.model.norm.weight file I32, model F32, F16 or BF16");
}

TEST_F(BrokenFolder, NumbersOfTheConfigAreBounded) {
  take("pmod_llava15");
  struct FaultyKey {
    const char* key;
    Json value;
    const char* sentence;  // A part of it.
  };
  const std::vector<FaultyKey> faults{
      {"num_hidden_layers", 1000000000, "'num_hidden_layers' is 1000000000"},
      {"num_hidden_layers", 0, "'num_hidden_layers' is 0"},
      {"hidden_size", -48, "'hidden_size' is -48"},
      {"hidden_size", "48", "'hidden_size' must be an integer"},
      {"vocab_size", int64_t{1} << 60, "'vocab_size' is"},
      {"intermediate_size", 0, "'intermediate_size' is 0"},
      {"num_attention_heads", 5, "4 key/value heads do not divide 5 heads"},
      {"num_key_value_heads", 3, "3 key/value heads do not divide 4 heads"},
      {"rms_norm_eps", -1, "'rms_norm_eps' is -1"},
      {"rope_theta", 0, "'rope_theta' is 0"},
      {"hidden_act", "tanhish", "the activation 'tanhish' is not known"},
      {"max_position_embeddings", 0, "'max_position_embeddings' is 0"},
      {"mm_projector_type", "mlp0x_gelu", "the projector 'mlp0x_gelu' is not supported"},
      {"mm_projector_type", "qformer", "the projector 'qformer' is not supported"},
      {"mm_vision_select_layer", 99, "the feature layer 99 is outside"},
      {"mm_vision_select_layer", -99, "the feature layer -99 is outside"},
      {"mm_vision_select_feature", "cls", "'mm_vision_select_feature' is 'cls'"},
      {"mm_patch_merge_type", "spiral", "'mm_patch_merge_type' is 'spiral'"},
      {"mm_use_im_start_end", true, "mm_use_im_start_end"},
      {"mod_target_layers", "sawtooth", "the schedule 'sawtooth' is not known"}};
  const Json good = read_json_file(folder() / "config.json");
  for (const FaultyKey& fault : faults) {
    write_text(folder() / "config.json", good.dump());
    set(fault.key, fault.value);
    expect(fault.sentence);
  }
}

TEST_F(BrokenFolder, EosIdsOfAnotherType) {
  take("pmod_llava15");
  fs::remove(folder() / "generation_config.json");
  set("eos_token_id", "two");
  expect("'eos_token_id' must be an id or a list of ids");
}

TEST_F(BrokenFolder, AnyresWithoutTiles) {
  take("pmod_llavanext");
  set("image_aspect_ratio", "anyres_max_0");
  expect("expected anyres_max_N with N from 1 to 4096");
  set("image_aspect_ratio", "anyres_max_2");
  EXPECT_EQ(open_model(folder())->vision->packing.max_patches, 2);
}

TEST_F(BrokenFolder, HeadsThatDoNotDivide) {
  take("pmod_llava15");
  set("num_attention_heads", 5);
  set("num_key_value_heads", 5);
  expect("5 heads do not divide hidden_size 48");
}

TEST_F(BrokenFolder, RopeScalings) {
  take("hf_llava15");
  const auto with = [&](const Json& scaling) {
    edit_json(folder() / "config.json", [&](Json& json) { json["text_config"]["rope_scaling"] = scaling; });
  };
  with({{"type", "su"}, {"factor", 2.0}});
  expect("the rope scaling 'su' is not known; known are default, linear, dynamic, llama3, yarn");
  with({{"type", "linear"}, {"factor", 0.0}});
  expect("'factor' is 0");
  with({{"rope_type", "llama3"}, {"factor", 8.0}, {"low_freq_factor", 4.0}, {"high_freq_factor", 4.0}});
  expect("high_freq_factor must be above");
  with({{"type", "linear"}, {"factor", 2.0}});
  EXPECT_EQ(open_model(folder())->decoder.config.rope.factor, 2.0);
}

TEST_F(BrokenFolder, MissingTower) {
  take("liuhaotian_llava15");
  fs::remove_all(folder().parent_path() / "vision_tower");
  expect(
      "the vision tower 'vision_tower' is missing; put its folder (config.json, preprocessor_config.json, weights) at");
}

TEST_F(BrokenFolder, KnownTowerWithoutItsFolderLacksWeights) {
  take("liuhaotian_llava15");
  set("mm_vision_tower", "openai/clip-vit-large-patch14-336");
  expect("the vision tower 'openai/clip-vit-large-patch14-336' is missing; put its folder");
}

TEST_F(BrokenFolder, TowerOfAHubIdLiesBesideOrInside) {
  take("liuhaotian_llava15");
  set("mm_vision_tower", "someone/vision_tower");
  EXPECT_TRUE(open_model(folder())->vision);
  fs::rename(folder().parent_path() / "vision_tower", folder() / "vision_tower");
  EXPECT_TRUE(open_model(folder())->vision);
}

TEST_F(BrokenFolder, UnknownTypesAreNamedWithTheKnown) {
  take("hf_llava15");
  set("model_type", "idefics");
  expect(
      "the model_type \"idefics\" is not supported; supported are llava, "
      "llava_next, llava_onevision, "
      "llava_llama, llava_mistral, pmod_llava_llama");
  set("model_type", "llava");
  edit_json(folder() / "config.json", [](Json& json) { json["text_config"]["model_type"] = "gemma"; });
  expect(
      "the decoder \"gemma\" is not supported; supported are llama, mistral "
      "and qwen2");
  edit_json(folder() / "config.json", [](Json& json) {
    json["text_config"]["model_type"] = "llama", json["vision_config"]["model_type"] = "vit";
  });
  expect(
      "the vision tower \"vit\" is not supported; supported are "
      "clip_vision_model and siglip_vision_model");
  edit_json(folder() / "config.json", [](Json& json) {
    json["vision_config"]["model_type"] = "clip_vision_model", json["vision_feature_layer"] = {-2, -3};
  });
  expect("features of several layers");
}

TEST_F(BrokenFolder, MissingFiles) {
  EXPECT_NE(refusal([] { open_model("/nonexistent/model"); }).find("There is no folder"), std::string::npos);
  take("hf_llava15");
  fs::remove(folder() / "preprocessor_config.json");
  fs::remove(folder() / "processor_config.json");
  expect("preprocessor_config.json is missing");
  fs::remove(folder() / "config.json");
  expect("config.json");
}

TEST_F(BrokenFolder, GenerationConfig) {
  take("hf_llava15");
  set("max_new_tokens", -3, "generation_config.json");
  expect("'max_new_tokens' is -3");
  set("max_new_tokens", 7, "generation_config.json");
  set("temperature", -1.0, "generation_config.json");
  expect("'temperature' is -1");
  set("temperature", 0.5, "generation_config.json");
  set("do_sample", true, "generation_config.json");
  set("eos_token_id", Json::array({2, 5, 999999}), "generation_config.json");
  const auto model = open_model(folder());
  EXPECT_EQ(model->prompting.eos_ids, (std::vector<int64_t>{2, 5}));
  EXPECT_EQ(model->prompting.generation.max_new_tokens, 7);
  EXPECT_TRUE(model->prompting.generation.sample);
  EXPECT_EQ(model->prompting.generation.temperature, 0.5);
  EXPECT_EQ(model->prompting.generation.top_k, 50);
}

// Writing the list into a message for each of them took minutes.
TEST_F(BrokenFolder, EosIdsByTheTenThousands) {
  take("hf_llava15");
  Json ids = Json::array();
  for (int id = 40'000; id > 0; --id) ids.push_back(id);
  set("eos_token_id", ids, "generation_config.json");
  const auto model = open_model(folder());
  EXPECT_EQ(static_cast<int64_t>(model->prompting.eos_ids.size()), model->decoder.config.vocab - 1);
  EXPECT_TRUE(model->prompting.ends(1));
  EXPECT_FALSE(model->prompting.ends(0));
}

TEST_F(BrokenFolder, ConfigsThatAreNoRegularFiles) {
  take("hf_llava15");
  for (const char* name : {"generation_config.json", "config.json"}) {
    fs::remove(folder() / name);
    fs::create_symlink("/dev/zero", folder() / name);
    expect("is not a regular file");
    fs::remove(folder() / name);
    ASSERT_EQ(::mkfifo((folder() / name).c_str(), 0600), 0);
    expect("is not a regular file");
    fs::remove(folder() / name);
    fs::create_directory(folder() / name);
    expect("is not a regular file");
  }
}

TEST_F(BrokenFolder, PlanOfTheFolder) {
  take("pmod_llava15");
  write_text(folder() / "plan.json", R"({"method": "eas", "layers": [3]})");
  EXPECT_FALSE(open_model(folder())->plan.find("decoder", 3)->self_attention);
  write_text(folder() / "plan.json", R"({"method": "eas", "layers": [99]})");
  expect("99");
}

TEST_F(BrokenFolder, RouterThatIsNotThere) {
  take("liuhaotian_llava15");
  write_text(folder() / "plan.json", R"({"method": "p-mod"})");
  expect("router");
}

}  // namespace
}  // namespace lithe::models
