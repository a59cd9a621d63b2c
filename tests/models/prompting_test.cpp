// Which prompt template a folder's model gets, and the error if no file names one.
#include <gtest/gtest.h>

#include <algorithm>

#include "checkpoints/read/catalogue.h"
#include "checkpoints/read/conventions.h"
#include "checkpoints/write/converting.h"
#include "models/support.h"

namespace lithe::models {
namespace {

constexpr const char* kTemplate =
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt "
    "%}<assistant>"
    "{% endif %}";

/// A folder of the original layout under a name of its own, with its tower beside it.
class Original {
 public:
  explicit Original(const std::string& name) {
    path = root_.path / name;
    fs::create_directories(path.parent_path());
    fs::copy(golden_folder("liuhaotian_llava15") / "checkpoint", path, fs::copy_options::recursive);
    fs::copy(golden_folder("liuhaotian_llava15") / "vision_tower", path / "vision_tower", fs::copy_options::recursive);
  }
  void set(const char* key, const Json& value) const {
    edit_json(path / "config.json", [&](Json& json) { json[key] = value; });
  }
  std::unique_ptr<Model> open() const { return open_model(path); }

  fs::path path;

 private:
  TempFolder root_;
};

std::string prompt_of(const Model& model) {
  return model.prompting.render({{"user", {{text::Part::Kind::image, ""}, {text::Part::Kind::text, "Hi"}}}});
}

TEST(Prompting, FollowsTheNameTheKeyTheBase) {
  EXPECT_EQ(Original("llava-v1.5-7b").open()->prompting.conversation, "llava_v1");
  EXPECT_EQ(Original("llama3-llava-next-8b").open()->prompting.conversation, "llava_llama_3");
  EXPECT_EQ(Original("llava-mistral/checkpoint-500").open()->prompting.conversation, "mistral_instruct");
  const Original mine("mine");
  mine.set("_name_or_path", "meta-llama/Meta-Llama-3-8B-Instruct");
  EXPECT_EQ(mine.open()->prompting.conversation, "llava_llama_3");
  mine.set("conversation", "qwen_2");
  const auto model = mine.open();
  EXPECT_TRUE(model->notes.empty());
  EXPECT_EQ(prompt_of(*model),
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<image>\nHi<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(Prompting, OfAnUnknownNameTheTokenizersTemplateCounts) {
  const Original mine("mine");
  edit_json(mine.path / "tokenizer_config.json", [](Json& json) { json["chat_template"] = kTemplate; });
  const auto model = mine.open();
  EXPECT_TRUE(model->notes.empty());
  EXPECT_EQ(model->prompting.dialect, text::Dialect::original);
  EXPECT_EQ(prompt_of(*model), "<user><image>\nHi<assistant>");  // the tokenizer writes BOS
  const auto ids = model->prompting.tokenizer->encode_with_images(prompt_of(*model), model->prompting.dialect);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 1), 1);
}

TEST(Prompting, AnAssumptionIsSaid) {
  const Original mine("mine");
  const auto model = mine.open();
  EXPECT_EQ(model->prompting.conversation, "vicuna_v1");
  ASSERT_EQ(model->notes.size(), 1u);
  EXPECT_NE(model->notes[0].find("vicuna_v1 is assumed"), std::string::npos) << model->notes[0];
  EXPECT_NE(model->notes[0].find("llava_llama_3"), std::string::npos);
  EXPECT_NE(model->notes[0].find("config.json"), std::string::npos);
  mine.set("conversation", "vicuna_v1");
  EXPECT_TRUE(mine.open()->notes.empty());
}

TEST(Prompting, AnHfFolderWithoutTemplateSaysWhatItAssumes) {
  TempFolder temp;
  fs::copy(golden_folder("hf_llava15") / "checkpoint", temp.path / "mine", fs::copy_options::recursive);
  for (const char* name : {"chat_template.json", "chat_template.jinja"}) fs::remove(temp.path / "mine" / name);
  EXPECT_EQ(open_model(temp.path / "mine")->notes.size(), 1u);
  fs::rename(temp.path / "mine", temp.path / "llava-v1.6-mistral-7b-hf");
  const auto named = open_model(temp.path / "llava-v1.6-mistral-7b-hf");
  EXPECT_TRUE(named->notes.empty());
  EXPECT_EQ(named->prompting.conversation, "mistral_instruct");
}

TEST(Prompting, AnUnknownConversationIsTheFilesFault) {
  const Original mine("mine");
  mine.set("conversation", "vicuna_v7");
  const std::string sentence = refusal([&] { mine.open(); });
  EXPECT_NE(sentence.find("config.json: 'conversation': there is no conversation \"vicuna_v7\""), std::string::npos)
      << sentence;
  mine.set("conversation", kOwnTemplate);
  EXPECT_NE(refusal([&] { mine.open(); }).find("has no chat template"), std::string::npos);
}

TEST(Prompting, AStopThatIsASpecialTokenEndsAnAnswer) {
  const Original mine("mine");
  mine.set("conversation", "gemma_instruct");
  edit_json(mine.path / "tokenizer_config.json", [](Json& json) {
    json["added_tokens_decoder"]["7"] = {{"content", "<end_of_turn>"}, {"special", true}};
  });
  EXPECT_EQ(mine.open()->prompting.eos_ids, (std::vector<int64_t>{2, 7}));
}

TEST(Prompting, AConvertedFolderKeepsItsTemplateAndItsAssumption) {
  const Original mine("mine");
  edit_json(mine.path / "tokenizer_config.json", [](Json& json) { json["chat_template"] = kTemplate; });
  const std::string prompt = prompt_of(*mine.open());
  TempFolder temp;
  const fs::path hf = temp.path / "llava-v1.5-hf", back = temp.path / "llava-v1.5", same = temp.path / "llava-v1-same";
  convert_folder(mine.path, hf, TargetLayout::hf);
  convert_folder(hf, back, TargetLayout::original);
  convert_folder(mine.path, same, TargetLayout::same);
  for (const fs::path& folder : {hf, back, same}) EXPECT_EQ(prompt_of(*open_model(folder)), prompt) << folder;
  const Original silent("silent");
  const Converted converted = convert_folder(silent.path, temp.path / "llava-v1-hf", TargetLayout::hf);
  EXPECT_NE(converted.notes.at(0).find("is assumed"), std::string::npos);
  EXPECT_EQ(open_model(temp.path / "llava-v1-hf")->prompting.conversation, "vicuna_v1");
}

TEST(Prompting, SuppressedTokensSurviveAConversion) {
  const Original mine("llava-v1");
  write_text(mine.path / "generation_config.json", R"({"eos_token_id": 2, "suppress_tokens": [5]})");
  TempFolder temp;
  convert_folder(mine.path, temp.path / "hf", TargetLayout::hf);
  const Json rows = read_json_file(temp.path / "hf/generation_config.json")["suppress_tokens"];
  EXPECT_EQ(rows[0], 5);
  EXPECT_GT(rows.size(), 1u);
  convert_folder(temp.path / "hf", temp.path / "back", TargetLayout::original);
  EXPECT_EQ(open_model(temp.path / "back")->prompting.generation.rules.suppress_tokens, std::vector<int64_t>{5});
}

// As transformers 5: what is nested in processor_config.json wins over preprocessor_config.json.
TEST(Prompting, TheNestedImageProcessorComesFirst) {
  TempFolder temp;
  fs::copy(golden_folder("hf_llava15") / "checkpoint", temp.path, fs::copy_options::recursive);
  const Json own = read_json_file(temp.path / "preprocessor_config.json");
  Json nested = own;
  nested["image_mean"] = {0.5, 0.25, 0.125};
  write_text(temp.path / "processor_config.json", Json{{"image_processor", nested}}.dump());
  EXPECT_EQ(open_model(temp.path)->vision->preprocess.mean[1], 0.25);
  write_text(temp.path / "processor_config.json", R"({"image_processor": null, "patch_size": 14})");
  EXPECT_EQ(open_model(temp.path)->vision->preprocess.mean[1], own["image_mean"][1].get<double>());
  fs::remove(temp.path / "preprocessor_config.json");
  EXPECT_NE(refusal([&] { open_model(temp.path); }).find("preprocessor_config.json is missing"), std::string::npos);
}

TEST(Prompting, ManyEosIdsAreReadInOneGo) {
  TempFolder temp;
  fs::copy(golden_folder("hf_llava15") / "checkpoint", temp.path, fs::copy_options::recursive);
  Json ids = Json::array();
  for (int id = 0; id < 200000; ++id) ids.push_back(id);
  write_text(temp.path / "generation_config.json", Json{{"eos_token_id", ids}}.dump());
  EXPECT_EQ(open_model(temp.path)->prompting.eos_ids.size(), 416u);
}

}  // namespace
}  // namespace lithe::models
