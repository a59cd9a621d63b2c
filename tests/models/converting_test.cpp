#include "checkpoints/write/converting.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>

#include <algorithm>

#include "checkpoints/read/catalogue.h"
#include "checkpoints/write/conversation_template.h"
#include "checkpoints/write/pmod_keys.h"
#include "plan/schedule.h"
#include "support.h"
#include "text/conversation.h"

namespace lithe::models {
namespace {

using text::Message;
using text::Part;
using text::text_message;

/// Conversations that prompts of a converted folder must agree on.
std::vector<std::vector<Message>> conversations() {
  const Message picture{"user", {{Part::Kind::image, ""}, {Part::Kind::text, "What is shown in the picture?"}}};
  const Message two{"user", {{Part::Kind::image, ""}, {Part::Kind::image, ""}, {Part::Kind::text, "Which is red?"}}};
  return {{picture},
          {text_message("user", "is there a circle? ")},
          {picture, text_message("assistant", "A circle."), text_message("user", "Of which colour?")},
          {text_message("system", "Answer in a word."), two}};
}

image::Image picture_of(int64_t width, int64_t height) {
  image::Image picture(width, height, 0, 0, 0);
  for (size_t i = 0; i < picture.rgb.size(); ++i) picture.rgb[i] = static_cast<uint8_t>((i * 37 + i / 91 * 11) % 251);
  return picture;
}

std::vector<int64_t> ids_of(const Model& model, const std::vector<Message>& messages) {
  return model.prompting.tokenizer->encode_with_images(model.prompting.render(messages), model.prompting.dialect);
}

/// The rows of a prompt with one picture: text, picture, text.
std::pair<Tensor, std::vector<routing::RowKind>> rows_of(const Model& model, const ImageRows& picture) {
  const Tensor text = model.decoder.embed(at::arange(3, 19));
  std::vector<routing::RowKind> kinds(16, routing::RowKind::text);
  kinds.insert(kinds.begin() + 4, picture.kinds.begin(), picture.kinds.end());
  return {at::cat({text.narrow(0, 0, 4), picture.rows, text.narrow(0, 4, 12)}), kinds};
}

void expect_same_pictures(const Model& a, const Model& b) {
  EXPECT_EQ(a.vision->preprocess.alpha, b.vision->preprocess.alpha);
  for (const auto& [width, height] : {std::pair{200, 90}, std::pair{64, 301}, std::pair{56, 56}}) {
    const image::Image picture = picture_of(width, height);
    const ImageRows left = a.encode_image(picture), right = b.encode_image(picture);
    ASSERT_TRUE(left.pixels.equal(right.pixels));
    ASSERT_TRUE(left.rows.equal(right.rows));
    EXPECT_EQ(left.kinds, right.kinds);
    const auto [rows, kinds] = rows_of(a, left);
    const Prefill x = prefill(a, rows, kinds), y = prefill(b, rows, kinds);
    EXPECT_EQ(x.kept, y.kept);
    EXPECT_TRUE(x.logits.equal(y.logits)) << width;
  }
}

/// Same numbers to the bit, same prompts, same ends.
void expect_same_model(const fs::path& source, const fs::path& converted) {
  const auto a = open_model(source), b = open_model(converted);
  EXPECT_EQ(a->plan.layers, b->plan.layers);
  EXPECT_EQ(a->prompting.eos_ids, b->prompting.eos_ids);
  EXPECT_EQ(a->prompting.stop_strings, b->prompting.stop_strings);
  EXPECT_EQ(a->prompting.generation.top_k, b->prompting.generation.top_k);
  EXPECT_EQ(a->decoder.config.vocab, b->decoder.config.vocab);
  EXPECT_EQ(a->decoder.config.window, b->decoder.config.window);
  for (const auto& messages : conversations()) {
    EXPECT_EQ(a->prompting.render(messages), b->prompting.render(messages));
    ASSERT_EQ(a->prompting.tokenizer.has_value(), b->prompting.tokenizer.has_value());
    if (a->prompting.tokenizer) {
      EXPECT_EQ(ids_of(*a, messages), ids_of(*b, messages));
    }
  }
  expect_same_pictures(*a, *b);
}

void expect_same_tensors(const fs::path& a, const fs::path& b) {
  const io::Checkpoint left = io::Checkpoint::open(a), right = io::Checkpoint::open(b);
  ASSERT_EQ(left.names(), right.names());
  for (const std::string& name : left.names()) {
    EXPECT_EQ(left.at(name).dtype, right.at(name).dtype) << name;
    EXPECT_EQ(left.at(name).shape, right.at(name).shape) << name;
    EXPECT_TRUE(std::ranges::equal(left.at(name).bytes, right.at(name).bytes)) << name;
  }
}

/// A model of the original layout, with its tower beside or below it.
struct OriginalCase {
  const char* name;
  fs::path folder;
};

std::vector<OriginalCase> original_cases() {
  const fs::path shipped = fs::path(LITHE_SOURCE_DIR) / "models";
  return {{"llava15", golden_folder("liuhaotian_llava15") / "checkpoint"},
          {"bin", golden_folder("liuhaotian_llava15") / "checkpoint_bin_sharded"},
          {"pmod", golden_folder("pmod_llava15") / "checkpoint"},
          {"next", golden_folder("pmod_llavanext") / "checkpoint"},
          {"eas", golden_folder("llava_eas") / "checkpoint"},
          {"demo", shipped / "easyvqa-pmod"},
          {"dense", shipped / "easyvqa-dense"}};
}

TEST(Converting, OriginalFoldersThereAndBack) {
  for (const OriginalCase& original : original_cases()) {
    SCOPED_TRACE(original.name);
    TempFolder temp;
    const fs::path hf = temp.path / "hf", back = temp.path / "back";
    const Converted there = convert_folder(original.folder, hf, TargetLayout::hf);
    EXPECT_EQ(open_model(hf)->family, std::string(original.name) == "next" ? "llava_next" : "llava");
    EXPECT_GT(there.tensors, 0);
    expect_same_model(original.folder, hf);
    convert_folder(hf, back, TargetLayout::original);
    EXPECT_EQ(open_model(back)->family, "llava_original");
    expect_same_tensors(original.folder, back);
    expect_same_model(original.folder, back);
    EXPECT_FALSE(fs::exists(back / "plan.json"));  // the published keys say it
    EXPECT_FALSE(fs::exists(back / "chat_template.jinja"));
  }
}

/// How LLaVA's own configs make rows of a picture.
struct PictureKeys {
  const char *aspect, *merge;
  Json pinpoints;
};

std::vector<PictureKeys> picture_keys() {
  const Json list = {{56, 112}, {112, 56}, {112, 112}, {168, 56}}, literal = "[(112, 56), (56, 168,),]",
             range = "(1x1),...,(2x3)";
  std::vector<PictureKeys> all;
  for (const char* merge : {"flat", "spatial", "spatial_unpad"}) {
    for (const char* aspect : {"square", "pad"})
      for (const Json& pinpoints : {Json(), list}) all.push_back({aspect, merge, pinpoints});
    for (const char* aspect : {"anyres", "anyres_max_2", "anyres_max_9"}) all.push_back({aspect, merge, list});
    for (const Json& pinpoints : {literal, range}) all.push_back({"anyres", merge, pinpoints});
  }
  return all;
}

/// A model of the original layout with these keys. The tower resizes in its own way, which only anyres overrides.
void make_original(const fs::path& folder, const PictureKeys& keys) {
  const fs::path golden = golden_folder("liuhaotian_llava15");
  fs::copy(golden / "checkpoint", folder / "llava-v1.5-7b", fs::copy_options::recursive);
  fs::copy(golden / "vision_tower", folder / "vision_tower", fs::copy_options::recursive);
  edit_json(folder / "vision_tower/preprocessor_config.json", [](Json& json) { json["resample"] = 2; });
  edit_json(folder / "llava-v1.5-7b/config.json", [&](Json& json) {
    json["image_aspect_ratio"] = keys.aspect;
    json["mm_patch_merge_type"] = keys.merge;
    json.erase("image_grid_pinpoints");
    if (!keys.pinpoints.is_null()) json["image_grid_pinpoints"] = keys.pinpoints;
  });
  if (std::string(keys.merge) != "spatial_unpad") return;
  edit_tensors(folder / "llava-v1.5-7b/model.safetensors", [](auto& tensors) {
    const std::vector<float> newline(32, 0.5f);
    tensors["model.image_newline"] = io::tensor_of<float>({32}, newline);
  });
}

TEST(Converting, EveryWayOfMakingRowsThereAndBackTwice) {
  const image::Image picture = picture_of(200, 90);
  for (const PictureKeys& keys : picture_keys()) {
    SCOPED_TRACE(concat(keys.aspect, " ", keys.merge, " ", keys.pinpoints.dump()));
    TempFolder temp;
    make_original(temp.path, keys);
    const fs::path source = temp.path / "llava-v1.5-7b";
    const auto model = open_model(source);
    const ImageRows expected = model->encode_image(picture);
    fs::path last = source;
    for (const TargetLayout layout : {TargetLayout::hf, TargetLayout::original, TargetLayout::hf}) {
      const fs::path next = temp.path / concat("turn_", last.filename().string());
      convert_folder(last, next, layout);
      const auto converted = open_model(next);
      const ImageRows rows = converted->encode_image(picture);
      EXPECT_EQ(model->prompting.render(conversations()[0]), converted->prompting.render(conversations()[0]));
      ASSERT_TRUE(rows.pixels.equal(expected.pixels));
      EXPECT_TRUE(rows.rows.equal(expected.rows));
      EXPECT_EQ(rows.kinds, expected.kinds);
      if (!keys.pinpoints.is_null()) {
        EXPECT_EQ(converted->vision->preprocess.pinpoints.size(), model->vision->preprocess.pinpoints.size());
      }
      last = next;
    }
    const Json before = read_json_file(source / "config.json"),
               after = read_json_file(temp.path / "turn_turn_llava-v1.5-7b/config.json");
    for (const char* key : {"image_aspect_ratio", "mm_patch_merge_type", "image_grid_pinpoints"})
      EXPECT_EQ(before.value(key, Json()), after.value(key, Json())) << key;
  }
}

TEST(Converting, AnyresWithoutPinpointsIsNamed) {
  TempFolder temp;
  make_original(temp.path, {"anyres", "flat", Json()});
  const std::string why = refusal([&] { open_model(temp.path / "llava-v1.5-7b"); });
  EXPECT_NE(why.find("'image_aspect_ratio' is anyres, which needs 'image_grid_pinpoints'"), std::string::npos) << why;
}

TEST(Converting, HuggingFaceFoldersThereAndBack) {
  for (const char* name : {"hf_llava15", "hf_llavanext"}) {
    SCOPED_TRACE(name);
    const fs::path source = golden_folder(name) / "checkpoint";
    TempFolder temp;
    const fs::path original = temp.path / "original", back = temp.path / "back";
    convert_folder(source, original, TargetLayout::original);
    EXPECT_EQ(open_model(original)->family, "llava_original");
    expect_same_model(source, original);
    convert_folder(original, back, TargetLayout::hf);
    expect_same_tensors(source, back);
    expect_same_model(source, back);
  }
}

TEST(Converting, NamesOfVersionFiveAreRead) {
  TempFolder temp;
  const fs::path source = temp.path / "source", original = temp.path / "original";
  fs::copy(golden_folder("hf_llava15") / "checkpoint", source);
  fs::copy_file(source / "config.v5.json", source / "config.json", fs::copy_options::overwrite_existing);
  edit_tensors(source / "model.safetensors", [](auto& tensors) {
    std::map<std::string, io::TensorView> renamed;
    for (auto& [name, view] : tensors) {
      std::string young = "model." + name;
      if (name.starts_with("language_model.model.")) young = "model.language_model." + name.substr(21);
      if (name.starts_with("language_model.lm_head")) young = name.substr(15);
      renamed[young] = view;
    }
    tensors = renamed;
  });
  convert_folder(source, original, TargetLayout::original);
  expect_same_model(golden_folder("hf_llava15") / "checkpoint", original);
}

TEST(Converting, AddedRowsNeverWin) {
  TempFolder temp;
  convert_folder(golden_folder("pmod_llava15") / "checkpoint", temp.path / "hf", TargetLayout::hf);
  const io::Checkpoint written = io::Checkpoint::open(temp.path / "hf");
  for (const char* name : {"language_model.lm_head.weight", "language_model.model.embed_tokens.weight"}) {
    const io::TensorView& view = written.at(name);
    EXPECT_EQ(view.shape, (std::vector<int64_t>{448, 48}));
    const Tensor rows = tensor_over(view);
    EXPECT_TRUE(rows.narrow(0, 400, 48).equal(rows.narrow(0, 0, 1).expand({48, 48})));
  }
  const Json config = read_json_file(temp.path / "hf/config.json"),
             generation = read_json_file(temp.path / "hf/generation_config.json");
  EXPECT_EQ(config["image_token_index"], 400);
  EXPECT_EQ(config["text_config"]["vocab_size"], 448);
  EXPECT_EQ(generation["suppress_tokens"].size(), 48u);
  EXPECT_EQ(generation["suppress_tokens"][0], 400);
}

/// A copy of the p-MoD case in Hugging Face layout, changed.
fs::path changed(const TempFolder& temp, const char* name, const char* golden, const char* key, const Json& value) {
  const fs::path root = temp.path / name;
  fs::create_directories(root);
  fs::copy(golden_folder(golden) / "checkpoint", root / "checkpoint", fs::copy_options::recursive);
  fs::copy(golden_folder(golden) / "vision_tower", root / "vision_tower", fs::copy_options::recursive);
  edit_json(root / "checkpoint/config.json", [&](Json& json) { json[key] = value; });
  return root / "checkpoint";
}

TEST(Converting, WhatTransformersHasNoWordsForComesAlong) {
  struct Odd {
    const char *golden, *key;
    Json value;
    const char* note;
  };
  const std::vector<Odd> odds{{"pmod_llavanext", "image_aspect_ratio", "anyres_max_2", "other tokens"},
                              {"pmod_llavanext", "max_num_patches", 2, "other tokens"},
                              {"pmod_llavanext", "mm_vision_select_layer", -1, "routers"},
                              {"pmod_llava15", "conversation", "v1_mmtag", "chat template"},
                              {"pmod_llava15", "conversation", "mistral_instruct", "routers"},
                              {"pmod_llava15", "image_aspect_ratio", "square", "routers"},
                              {"pmod_llava15", "rope_scaling", {{"type", "linear"}, {"factor", 2.0}}, "routers"},
                              {"pmod_llava15",
                               "rope_scaling",
                               {{"rope_type", "llama3"},
                                {"factor", 8.0},
                                {"low_freq_factor", 1.0},
                                {"high_freq_factor", 4.0},
                                {"original_max_position_embeddings", 64}},
                               "routers"},
                              {"liuhaotian_llava15", "mm_vision_select_feature", "cls_patch", ""}};
  for (size_t i = 0; i < odds.size(); ++i) {
    SCOPED_TRACE(odds[i].key + odds[i].value.dump());
    TempFolder temp;
    const fs::path source = changed(temp, "source", odds[i].golden, odds[i].key, odds[i].value);
    const Converted there = convert_folder(source, temp.path / "hf", TargetLayout::hf);
    std::string notes;
    for (const std::string& note : there.notes) notes += note + "; ";
    EXPECT_NE(notes.find(odds[i].note), std::string::npos) << notes;
    expect_same_model(source, temp.path / "hf");
    convert_folder(temp.path / "hf", temp.path / "back", TargetLayout::original);
    expect_same_model(source, temp.path / "back");
    EXPECT_EQ(read_json_file(temp.path / "back/config.json")[odds[i].key], odds[i].value);
  }
}

TEST(Converting, AMistralKeepsWindowAndHeads) {
  TempFolder temp;
  const fs::path source = changed(temp, "source", "pmod_llavanext", "model_type", "llava_mistral");
  edit_json(source / "config.json", [](Json& json) { json["sliding_window"] = 24; });
  convert_folder(source, temp.path / "hf", TargetLayout::hf);
  EXPECT_EQ(read_json_file(temp.path / "hf/config.json")["text_config"]["model_type"], "mistral");
  EXPECT_EQ(open_model(temp.path / "hf")->decoder.config.window, 24);
  expect_same_model(source, temp.path / "hf");
  convert_folder(temp.path / "hf", temp.path / "back", TargetLayout::original);
  expect_same_model(source, temp.path / "back");
}

TEST(Converting, APlanThatNoPublishedKeySaysStaysAFile) {
  TempFolder temp;
  const fs::path source = changed(temp, "source", "pmod_llava15", "use_cache", true);
  Json plan = {{"format", "lithe-plan/1"}, {"name", "odd"}, {"layers", Json::array()}};
  plan["layers"].push_back(
      {{"layer", 6}, {"rules", {{{"group", "vision"}, {"keep_count", 3}, {"by", "router"}, {"gate", "tanh_norm"}}}}});
  write_text(source / "plan.json", plan.dump());
  convert_folder(source, temp.path / "hf", TargetLayout::hf);
  expect_same_model(source, temp.path / "hf");
  convert_folder(temp.path / "hf", temp.path / "back", TargetLayout::original);
  EXPECT_TRUE(fs::exists(temp.path / "back/plan.json"));
  EXPECT_FALSE(read_json_file(temp.path / "back/config.json").contains("mod_target_layers"));
  expect_same_model(source, temp.path / "back");
  expect_same_tensors(source, temp.path / "back");
}

TEST(Converting, PublishedKeysAreFoundForTheirPlans) {
  struct Published {
    const char *schedule, *norm, *target;
    double factor;
    int64_t layers;
  };
  const std::vector<Published> all{{"shiftedcos_decay_0.85_0.15", "tanh_0.2_1", "vision_all", 0.5, 32},
                                   {"shiftedcos_decay_0.55_0.40", "tanh_0.2_1", "vision_hr", 0.1, 12},
                                   {"shiftedcos_decay_0.49_0.30", "softmax", "vision_all", 0.01, 12},
                                   {"shiftedlinear_decay_0.85_0.15", "sigmoid_2_-0.5", "all", 0.5, 32},
                                   {"interleave", "none", "all", 0.4, 6},
                                   {"deep_all", "tanh_0.2_1", "vision_all", 0.3, 8},
                                   {"deep_all_include_last", "tanh_0.2_1", "vision_all", 0.3, 8}};
  for (const Published& given : all) {
    Json keys = {{"mod_target_layers", given.schedule},
                 {"mod_router_factor", given.factor},
                 {"mod_weight_norm", given.norm},
                 {"mod_target_token_type", given.target}};
    Json config = keys;
    config["num_hidden_layers"] = given.layers;
    plan::Plan plan = plan::from_public_pmod_config(JsonView(config, "config"));
    EXPECT_TRUE(say_plan(keys, plan, given.layers));
    const auto found = published_keys(plan, given.layers);
    ASSERT_TRUE(found.has_value()) << given.schedule;
    EXPECT_TRUE(say_plan(*found, plan, given.layers)) << found->dump();
    plan.layers.back().rules[0].keep_share = 0.123;
    EXPECT_FALSE(say_plan(keys, plan, given.layers));
    EXPECT_FALSE(published_keys(plan, given.layers).has_value()) << given.schedule;
  }
  EXPECT_FALSE(published_keys({}, 4).has_value());
}

TEST(Converting, TemplatesWriteWhatConversationsWrite) {
  auto all = conversations();
  all.push_back({text_message("assistant", "Hello."), text_message("user", "Who's \"there\"?\nTell me.")});
  all.push_back({text_message("user", "<image>\nWhat?"), text_message("assistant", "A circle."),
                 text_message("user", "And now?"), text_message("assistant", "Two.")});
  size_t templates = 0;
  for (const std::string& name : text::conversation_names()) {
    const auto source = template_of_conversation(name);
    EXPECT_EQ(source.has_value(), name.find("mmtag") == std::string::npos && name != "lavin");
    if (!source) continue;
    ++templates;
    const auto jinja = text::ChatTemplate::from_source(*source, name);
    for (const auto& messages : all) {
      const bool answered = std::any_of(messages.begin(), messages.end(),
                                        [](const Message& message) { return message.role == "assistant"; });
      if (name == "plain" && answered) continue;  // it has no form for an answer
      if (name == "gemma_instruct" && messages[0].role == "system") {
        EXPECT_NE(refusal([&] { jinja.render(messages, {}); }).find("system message"), std::string::npos);
        continue;
      }
      EXPECT_EQ(jinja.render(messages, {}), text::render_conversation(name, messages, true)) << name;
    }
  }
  EXPECT_EQ(templates, 17u);
}

class BrokenSource : public ::testing::Test {
 protected:
  BrokenSource() {
    folder_ = changed(temp_, "source", "pmod_llava15", "use_cache", true);
    convert_folder(folder_, hf_, TargetLayout::hf);
  }
  /// The sentence of the refusal; no file may remain.
  std::string why(const fs::path& folder, TargetLayout layout) {
    const fs::path out = temp_.path / "out" / "model";
    const std::string sentence = refusal([&] { convert_folder(folder, out, layout); });
    EXPECT_TRUE(!fs::exists(out.parent_path()) || fs::is_empty(out.parent_path()));
    EXPECT_EQ(sentence.find('\n'), std::string::npos);
    return sentence;
  }
  void expect(const fs::path& folder, TargetLayout layout, const std::string& part) {
    const std::string sentence = why(folder, layout);
    EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
  }

  TempFolder temp_;
  fs::path folder_, hf_ = temp_.path / "hf";
};

TEST_F(BrokenSource, FormsThatTheOtherLayoutLacks) {
  edit_json(folder_ / "config.json", [](Json& json) { json["mm_projector_type"] = "linear"; });
  edit_tensors(folder_ / "model.safetensors", [](auto& tensors) {
    std::erase_if(tensors, [](const auto& entry) { return entry.first.starts_with("model.mm_projector."); });
    tensors["model.mm_projector.weight"] = io::tensor_of<float>({48, 32}, std::vector<float>(48 * 32));
    tensors["model.mm_projector.bias"] = io::tensor_of<float>({48}, std::vector<float>(48));
  });
  expect(folder_, TargetLayout::hf, "its projector has 1 linear layers");
  expect(golden_folder("pmod_variants") / "checkpoint_deepall_softmax", TargetLayout::hf, "has no vision tower");
  const fs::path relu = temp_.path / "relu";
  fs::copy(golden_folder("hf_llava15") / "checkpoint", relu);
  edit_json(relu / "config.json", [](Json& json) { json["projector_hidden_act"] = "relu"; });
  expect(relu, TargetLayout::original, "projectors with GELU");
}

TEST_F(BrokenSource, ConventionsAreChecked) {
  const auto set = [&](const char* key, const Json& value) {
    edit_json(hf_ / "config.json", [&](Json& json) { json["conventions"][key] = value; });
  };
  const Json good = read_json_file(hf_ / "config.json")["conventions"];
  const auto mend = [&] { edit_json(hf_ / "config.json", [&](Json& json) { json["conventions"] = good; }); };
  set("of", "transformers");
  expect(hf_, TargetLayout::original, "can only be 'llava'");
  mend();
  set("vocab_size", 449);
  expect(hf_, TargetLayout::original, "'vocab_size' is 449");
  set("vocab_size", 0);
  expect(hf_, TargetLayout::original, "'vocab_size' is 0");
  mend();
  set("image_aspect_ratio", "round");
  expect(hf_, TargetLayout::original, "'image_aspect_ratio' is 'round'");
  mend();
  set("mm_patch_merge_type", 7);
  expect(hf_, TargetLayout::original, "mm_patch_merge_type");
  mend();
  set("conversation", "nobody");
  expect(hf_, TargetLayout::original, "there is no conversation");
  mend();
  set("added_image_token", "400");
  expect(hf_, TargetLayout::original, "added_image_token");
  mend();
  set("p_mod", 3);
  expect(hf_, TargetLayout::original, "p_mod");
  edit_json(hf_ / "config.json", [&](Json& json) { json["conventions"] = "llava"; });
  expect(hf_, TargetLayout::original, "conventions");
}

TEST_F(BrokenSource, RoutersNeedTheirPlan) {
  fs::remove(hf_ / "plan.json");
  expect(hf_, TargetLayout::original, "unexpected 14: language_model.model.layers.10.router.bias");
}

TEST_F(BrokenSource, AnAdapterIsNoModel) {
  write_text(folder_ / "adapter_config.json", "{}");
  expect(folder_, TargetLayout::hf, "fold it first");
  expect(folder_, TargetLayout::same, "fold it first");
}

TEST_F(BrokenSource, FilesBesideTheWeights) {
  write_text(folder_ / "tokenizer.json", "[]");
  expect(folder_, TargetLayout::hf, "holds no JSON object");
  write_text(folder_ / "tokenizer.json", R"({"added_tokens": 5})");
  expect(folder_, TargetLayout::hf, "added_tokens");
  fs::remove(folder_ / "tokenizer.json");
  edit_json(folder_ / "tokenizer_config.json", [](Json& json) { json["added_tokens_decoder"] = Json::array(); });
  expect(folder_, TargetLayout::hf, "added_tokens_decoder");
}

}  // namespace
}  // namespace lithe::models
