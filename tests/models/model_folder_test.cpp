// What a user may give as a model, and the errors for what cannot be opened.
#include "checkpoints/read/model_folder.h"

#include <cstdlib>

#include "checkpoints/read/catalogue.h"
#include "checkpoints/write/converting.h"
#include "models/peft_folder.h"
#include "support.h"

namespace lithe::models {
namespace {

/// A cache of the hub, and a working folder beside it.
class ModelFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    before_ = fs::current_path();
    ::setenv("HF_HUB_CACHE", (temp_.path / "cache").c_str(), 1);
    fs::create_directories(temp_.path / "work");
    fs::current_path(temp_.path / "work");
  }
  void TearDown() override {
    fs::current_path(before_);
    ::unsetenv("HF_HUB_CACHE");
  }

  /// As huggingface_hub keeps it: links into blobs.
  fs::path cache(const std::string& owner, const std::string& name, const fs::path& files) const {
    const fs::path model = temp_.path / "cache" / ("models--" + owner + "--" + name),
                   place = model / "snapshots" / "abc";
    fs::create_directories(model / "blobs");
    fs::create_directories(model / "refs");
    fs::create_directories(place);
    write_text(model / "refs" / "main", "abc");
    for (const fs::directory_entry& file : fs::directory_iterator(files)) {
      const std::string blob = "blob-" + file.path().filename().string();
      fs::copy_file(file.path(), model / "blobs" / blob);
      fs::create_symlink(fs::path("../../blobs") / blob, place / file.path().filename());
    }
    return place;
  }
  static void expect(const std::string& name, const std::string& part) {
    const std::string why = refusal([&] { open_model(name); });
    EXPECT_NE(why.find(part), std::string::npos) << why;
  }

  TempFolder temp_;
  fs::path before_;
};

TEST_F(ModelFolder, TheDemoModels) {
  EXPECT_EQ(model_folder("demo").filename(), "easyvqa-pmod");
  EXPECT_EQ(open_model("demo-dense")->name, "easyvqa-dense");
}

TEST_F(ModelFolder, ANameOnTheHub) {
  expect("llava-hf/llava-1.5-7b-hf", "download it with `hf download llava-hf/llava-1.5-7b-hf`");
  const fs::path place = cache("llava-hf", "llava-1.5-7b-hf", golden_folder("hf_llava15") / "checkpoint");
  EXPECT_EQ(model_folder("llava-hf/llava-1.5-7b-hf"), place);
  const auto model = open_model("llava-hf/llava-1.5-7b-hf");
  EXPECT_EQ(model->name, "llava-1.5-7b-hf");
  convert_folder(model->folder, temp_.path / "original", TargetLayout::original);
  EXPECT_FALSE(fs::is_symlink(temp_.path / "original" / "tokenizer.json"));
  EXPECT_EQ(open_model(temp_.path / "original")->prompting.conversation, model->prompting.conversation);
}

TEST_F(ModelFolder, AFolderComesBeforeTheHub) {
  cache("owner", "name", golden_folder("hf_llava15") / "checkpoint");
  fs::create_directories("owner/name");
  EXPECT_EQ(model_folder("owner/name"), fs::absolute("owner/name"));
  EXPECT_EQ(model_folder("owner/name/"), fs::absolute("owner/name"));
}

/// An adapter, its base and a tower, each by its name on the hub.
TEST_F(ModelFolder, WhatConfigsName) {
  test::PeftFolder adapter;
  adapter.config["base_model_name_or_path"] = "liuhaotian/llava-v1.5-7b";
  adapter.add("model.layers.0.self_attn.q_proj", 32, 32);
  adapter.write(temp_.path / "made");
  cache("someone", "llava-lora", temp_.path / "made");
  expect("someone/llava-lora", "`hf download liuhaotian/llava-v1.5-7b`");
  fs::copy(golden_folder("liuhaotian_llava15") / "checkpoint", temp_.path / "base", fs::copy_options::recursive);
  edit_json(temp_.path / "base" / "config.json", [](Json& json) { json["mm_vision_tower"] = "openai/some-tower"; });
  cache("liuhaotian", "llava-v1.5-7b", temp_.path / "base");
  expect("someone/llava-lora", "`hf download openai/some-tower`");
  cache("openai", "some-tower", golden_folder("liuhaotian_llava15") / "vision_tower");
  EXPECT_EQ(open_model("someone/llava-lora")->loaded.lora->products, 1);
  const auto over = open_model("liuhaotian/llava-v1.5-7b", {.lora = "someone/llava-lora"});
  EXPECT_EQ(over->loaded.lora->products, 1);
  EXPECT_TRUE(over->vision);
  EXPECT_EQ(over->name, "llava-v1.5-7b");
}

TEST_F(ModelFolder, WhatIsNotAModelsFolder) {
  expect("nothing",
         "There is no folder \"nothing\"; give a folder with config.json and weights, a GGUF file, demo or demo-dense");
  expect("../../nothing", "There is no folder");
  fs::create_directories("above/below");
  expect("above/below/..", "has no config.json");
  write_text("model.gguf", "GGUF\x03");
  expect("model.gguf", "ends inside of its first numbers; is the file cut off?");
  write_text("model.safetensors", "x");
  expect("model.safetensors", "is one file of a model; give its folder, \"" + fs::current_path().string());
  write_text("pointer", "version https://git-lfs.github.com/spec/v1");
  expect("pointer", "run `git lfs pull`");
  fs::create_directories("gguf");
  write_text("gguf/q4.gguf", "GGUF");
  expect("gguf", "q4.gguf: ends inside of its first numbers");
  fs::create_directories("bare");
  expect("bare", "has no config.json");
  write_text("bare/config.json", R"({"model_type": "llama"})");
  expect("bare", "\"llama\" is a language model without a vision tower; supported are llava");
  write_text("bare/config.json", R"({"model_type": "qwen2_vl"})");
  expect("bare", "\"qwen2_vl\" is not supported; supported are llava");
  write_text("bare/config.json", "{}");
  expect("bare", "has no 'model_type'");
}

}  // namespace
}  // namespace lithe::models
