// Every fault of a PEFT folder is one sentence that names the file.
#include "checkpoints/read/catalogue.h"
#include "checkpoints/read/lora.h"
#include "models/peft_folder.h"
#include "support.h"

namespace lithe::models {
namespace {

class BrokenLora : public ::testing::Test {
 protected:
  BrokenLora() { adapter_.add("model.layers.0.self_attn.q_proj", 32, 32); }

  fs::path folder() const { return temp_.path / "adapter"; }

  /// The sentence with which opening the base model with the adapter fails.
  std::string why() const {
    if (!adapter_.tensors.empty()) adapter_.write(folder());
    const std::string sentence =
        refusal([&] { open_model(golden_folder("liuhaotian_llava15") / "checkpoint", {.lora = folder()}); });
    EXPECT_EQ(sentence.find('\n'), std::string::npos) << sentence;
    EXPECT_NE(sentence.find(temp_.path.string()), std::string::npos) << sentence;
    return sentence;
  }
  void expect(const std::string& part) const {
    const std::string sentence = why();
    EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
  }

  const std::string kFirst = "base_model.model.model.layers.0.self_attn.q_proj";
  TempFolder temp_;
  test::PeftFolder adapter_;
};

TEST_F(BrokenLora, Opens) {
  EXPECT_NO_THROW(adapter_.write(folder()));
  EXPECT_EQ(open_model(golden_folder("liuhaotian_llava15") / "checkpoint", {.lora = folder()})->loaded.lora->products,
            1);
}

TEST_F(BrokenLora, KeysOfTheConfig) {
  struct FaultyKey {
    const char* key;
    Json value;
    const char* sentence;  // A part of it.
  };
  const std::vector<FaultyKey> faults{
      {"peft_type", "LOHA", "'peft_type' is 'LOHA'; only LORA is supported"},
      {"use_dora", true, "'use_dora' is set, and DoRA is not supported"},
      {"fan_in_fan_out", true, "'fan_in_fan_out' is set"},
      {"lora_bias", true, "'lora_bias' is set"},
      {"layer_replication", Json::array({Json::array({0, 2})}), "'layer_replication' is set"},
      {"init_lora_weights", "pissa", "'init_lora_weights' is 'pissa', which changes the base model"},
      {"r", 0, "'r' is 0, expected a rank from 1"},
      {"r", "4", "'r' must be an integer"},
      {"r", 8, "lora_A [4, 32] and lora_B [32, 4]; with the rank 8"},
      {"lora_alpha", 1e300, "'lora_alpha' is 1e+300"},
      {"lora_alpha", nullptr, "'lora_alpha'"},
      {"target_modules", Json::array({"v_proj"}),
       "is not among those that 'target_modules' of adapter_config.json lets be adapted"},
      {"target_modules", 7, "'target_modules' must be a list of module names"},
      {"target_modules", Json::array({7}), "'target_modules' must be a list of module names, got 7"},
      {"rank_pattern", Json::array({1}), "rank_pattern"},
      {"rank_pattern", {{"q_proj", 2}}, "with the rank 2"},
      {"rank_pattern", {{"layers.[0-9].*q_proj", 2}}, "with the rank 2"},
      {"rank_pattern", {{"layers.[0-9", 2}}, "'rank_pattern' \"layers.[0-9\" is not a regular expression"},
      {"target_modules", ".*v_proj", "is not among those that 'target_modules'"},
      {"exclude_modules", Json::array({"q_proj"}), "is not among those that 'exclude_modules'"},
      {"alpha_pattern", {{"q_proj", "x"}}, "must be a number"},
      {"modules_to_save", Json::array({"mm_projector"}), "holds no tensor of \"mm_projector\""},
  };
  const Json whole = adapter_.config;
  for (const FaultyKey& fault : faults) {
    SCOPED_TRACE(fault.key + fault.value.dump());
    adapter_.config = whole;
    adapter_.config[fault.key] = fault.value;
    expect(fault.sentence);
  }
}

TEST_F(BrokenLora, Tensors) {
  const auto whole = adapter_.tensors;
  const auto broken = [&](const std::string& sentence, const std::function<void()>& change) {
    adapter_.tensors = whole;
    change();
    expect(sentence);
  };
  auto& tensors = adapter_.tensors;
  broken("'model.layers.0.self_attn.q_proj' has no lora_B", [&] { tensors.erase(kFirst + ".lora_B.weight"); });
  broken("belongs to DoRA", [&] { adapter_.put(kFirst + ".lora_magnitude_vector", {32}, 1); });
  broken("is LoRA on embeddings", [&] {
    adapter_.put("base_model.model.model.embed_tokens.lora_embedding_A", {4, 400}, 1);
  });
  broken("is not a LoRA factor", [&] { adapter_.put(kFirst + ".lora_C.weight", {4, 32}, 1); });
  broken("stands twice", [&] { adapter_.put(kFirst + ".lora_A.default.weight", {4, 32}, 1); });
  broken("lora_A.weight file [4, 16], model [4, 32]", [&] { adapter_.put(kFirst + ".lora_A.weight", {4, 16}, 1); });
  broken("lora_A [4]", [&] { adapter_.put(kFirst + ".lora_A.weight", {4}, 1); });
  broken("modules 1: model.layers.9.mlp.up_proj", [&] { adapter_.add("model.layers.9.mlp.up_proj", 88, 32); });
  broken("modules 1: model.embed_tokens", [&] { adapter_.add("model.embed_tokens", 400, 32); });
  broken("unexpected 1: model.extra.weight", [&] { adapter_.put("base_model.model.model.extra.weight", {3}, 1); });
  broken("misshapen 1: model.norm.weight file [3], model [32]",
         [&] { adapter_.put("base_model.model.model.norm.weight", {3}, 1); });
  broken("file I32", [&] {
    tensors[kFirst + ".lora_A.weight"] = io::tensor_of<int32_t>({4, 32}, std::vector<int32_t>(128));
  });
}

TEST_F(BrokenLora, Folders) {
  adapter_.write(folder());
  EXPECT_NE(refusal([&] { open_model(folder()); }).find("the base model 'base' is missing; put its folder at"),
            std::string::npos);
  const fs::path base = golden_folder("liuhaotian_llava15") / "checkpoint";
  EXPECT_NE(refusal([&] { open_model(base, {.lora = base}); }).find("is a whole model and not a LoRA adapter"),
            std::string::npos);
  EXPECT_NE(refusal([&] { open_model(folder(), {.lora = folder()}); }).find("is a PEFT folder itself"),
            std::string::npos);
  fs::remove(folder() / "adapter_model.safetensors");
  EXPECT_NE(refusal([&] { open_model(base, {.lora = folder()}); }).find("holds neither"), std::string::npos);
  edit_json(folder() / "adapter_config.json", [](Json& json) { json.erase("base_model_name_or_path"); });
  EXPECT_NE(refusal([&] { open_model(folder()); }).find("names no 'base_model_name_or_path'"), std::string::npos);
  write_text(folder() / "adapter_config.json", "{");
  EXPECT_NE(refusal([&] { open_model(folder()); }).find("adapter_config.json"), std::string::npos);
}

}  // namespace
}  // namespace lithe::models
