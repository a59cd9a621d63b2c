// Folders of rounded weights: they open as the original does with --weights, to the bit.
#include "checkpoints/write/quantising.h"

#include <ATen/ops/equal.h>

#include <algorithm>

#include "checkpoints/read/catalogue.h"
#include "checkpoints/write/converting.h"
#include "checkpoints/write/folding.h"
#include "checkpoints/write/tuned.h"
#include "io/checkpoint.h"
#include "io/mapped_file.h"
#include "models/additions.h"
#include "models/lavin_folder.h"
#include "models/peft_folder.h"
#include "models/training.h"
#include "plan/parse.h"

namespace lithe::models {
namespace {

/// What holds a weight and the numbers in it.
struct Held {
  std::string storage;
  Tensor numbers;
};
std::map<WeightName, Held> held_by(const Model& model) {
  std::map<WeightName, Held> held;
  visit(model, [&](const HeldWeight& weight) {
    held[weight.name] = {weight.weight.storage(), weight.weight.widened(at::kFloat)};
  });
  return held;
}

void expect_same(const Model& a, const Model& b) {
  const auto left = held_by(a), right = held_by(b);
  ASSERT_EQ(left.size(), right.size());
  for (const auto& [name, held] : left) {
    ASSERT_TRUE(right.contains(name)) << text_of(name);
    EXPECT_EQ(held.storage, right.at(name).storage) << text_of(name);
    EXPECT_TRUE(at::equal(held.numbers, right.at(name).numbers)) << text_of(name);
  }
  EXPECT_EQ(a.plan.layers, b.plan.layers);
  EXPECT_EQ(a.loaded.bytes, b.loaded.bytes);
  EXPECT_EQ(a.prompting.conversation, b.prompting.conversation);
  EXPECT_TRUE(outputs_of(a) == outputs_of(b));
}

class Quantising : public testing::Test {
 protected:
  fs::path fresh(const std::string& name) const {
    fs::remove_all(temp_.path / name);
    return temp_.path / name;
  }
  /// A quantised golden model, made once.
  fs::path quantised(WeightStorage weights) const {
    const fs::path folder = temp_.path / concat("quantised", static_cast<int>(weights));
    if (!fs::exists(folder)) quantise_folder(kHf, folder, {.weights = weights});
    return folder;
  }

  TempFolder temp_;
};

TEST_F(Quantising, EveryLayoutOpensAsItsSourceRoundedAtLoad) {
  for (const char* lavin : {"lavin", "lavin_eas"}) test::link_lavin(lavin, temp_.path / lavin);
  const fs::path shipped = fs::path(LITHE_SOURCE_DIR) / "models";
  for (const fs::path& source :
       {kHf, golden_folder("hf_llavanext") / "checkpoint", golden_folder("llava_onevision") / "checkpoint",
        golden_folder("liuhaotian_llava15") / "checkpoint",
        golden_folder("liuhaotian_llava15") / "checkpoint_bin_sharded", golden_folder("pmod_llava15") / "checkpoint",
        golden_folder("llava_eas") / "checkpoint", shipped / "easyvqa-pmod", temp_.path / "lavin",
        temp_.path / "lavin_eas"}) {
    for (const WeightStorage weights : {WeightStorage::int8, WeightStorage::int4, WeightStorage::bfloat16}) {
      SCOPED_TRACE(concat(source.string(), " ", static_cast<int>(weights)));
      const fs::path out = fresh("out");
      const Quantised done = quantise_folder(source, out, {.weights = weights});
      const auto read = open_model(out);
      expect_same(*read, *open_model(source, {.weights = weights}));
      EXPECT_EQ(done.int8 + done.int4 > 0, weights != WeightStorage::bfloat16);
      EXPECT_EQ(done.int4 > 0, weights == WeightStorage::int4);
    }
  }
}

TEST_F(Quantising, TheSameFolderTwiceIsTheSameFile) {
  quantise_folder(kHf, temp_.path / "again", {.weights = WeightStorage::int4});
  for (const char* name : {"model.safetensors", "config.json"}) {
    const io::Bytes a = io::map_file(quantised(WeightStorage::int4) / name),
                    b = io::map_file(temp_.path / "again" / name);
    EXPECT_TRUE(std::ranges::equal(a.span, b.span)) << name;
  }
}

TEST_F(Quantising, CodesOfInt8AreMapped) {
  const auto model = open_model(quantised(WeightStorage::int8));
  const auto& attention = std::get<nn::Attention>(model->decoder.blocks[1].sites[0].branch);
  for (const nn::Weight* weight : std::initializer_list<const nn::Weight*>{
           &model->decoder.embeddings, &model->decoder.head.weight, &attention.query.weight})
    EXPECT_EQ(io::mapped_file_at(weight->address()), (quantised(WeightStorage::int8) / "model.safetensors").string());
}

TEST_F(Quantising, TheConfigSaysHowModulesAreStored) {
  const Json int8 = read_json_file(quantised(WeightStorage::int8) / "config.json").at("quantization_config");
  EXPECT_EQ(int8.at("format"), "int-quantized");
  const Json& group = int8.at("config_groups").at("group_0");
  EXPECT_EQ(group.at("targets"), (Json{"Linear", "re:.*embed_tokens$"}));
  EXPECT_EQ(group.at("weights").at("strategy"), "channel");

  const Json int4 = read_json_file(quantised(WeightStorage::int4) / "config.json").at("quantization_config");
  EXPECT_EQ(int4.at("format"), "mixed-precision");
  EXPECT_EQ(int4.at("quant_method"), "compressed-tensors");
  std::map<std::string, std::string> formats;  // of each target
  for (const auto& [name, scheme] : int4.at("config_groups").items())
    for (const Json& target : scheme.at("targets")) formats[target] = scheme.at("format");
  EXPECT_EQ(formats.at("Linear"), "pack-quantized");
  EXPECT_EQ(formats.at("re:.*embed_tokens$"), "int-quantized");
  EXPECT_EQ(formats.at("re:.*lm_head$"), "int-quantized");
  EXPECT_EQ(formats.at("re:^(?!.*encoder).*layers\\.2\\.mlp\\.down_proj$"), "int-quantized");  // 88 wide

  const io::Checkpoint file = io::Checkpoint::open(quantised(WeightStorage::int4));
  const std::string name = "language_model.model.layers.0.self_attn.q_proj.weight";
  EXPECT_FALSE(file.contains(name));
  EXPECT_EQ(file.at(name + "_packed").shape, (std::vector<int64_t>{32, 4}));
  EXPECT_EQ(file.at(name + "_shape").values<int64_t>()[1], 32);
  EXPECT_EQ(file.at(name + "_scale").dtype, io::Dtype::float32);
  EXPECT_EQ(file.at("language_model.lm_head.weight").dtype, io::Dtype::int8);
}

TEST_F(Quantising, EmbeddingsAndHeadCanStay) {
  const fs::path out = temp_.path / "kept";
  quantise_folder(kHf, out, {.weights = WeightStorage::int8, .keeps_embeddings = true});
  const auto model = open_model(out);
  EXPECT_STREQ(model->decoder.embeddings.storage(), "float32");
  EXPECT_STREQ(model->decoder.head.weight.storage(), "float32");
  const Json config = read_json_file(out / "config.json").at("quantization_config");
  const Json& ignored = config.at("ignore");
  EXPECT_NE(std::find(ignored.begin(), ignored.end(), "re:.*lm_head$"), ignored.end());
  EXPECT_EQ(config.at("config_groups").at("group_0").at("targets"), Json{"Linear"});
}

/// A copy of the embeddings in the file is not a head of its own, and must not become one.
TEST_F(Quantising, ATiedHeadStaysTied) {
  const fs::path source = temp_.path / "tied", out = temp_.path / "out";
  fs::copy(kHf, source, fs::copy_options::recursive);
  edit_json(source / "config.json", [](Json& json) { json["text_config"]["tie_word_embeddings"] = true; });
  edit_tensors(source / "model.safetensors", [](auto& tensors) {
    tensors["language_model.lm_head.weight"] = tensors.at("language_model.model.embed_tokens.weight");
  });
  quantise_folder(source, out, {.weights = WeightStorage::int4});
  const auto model = open_model(out);
  EXPECT_TRUE(model->decoder.config.tied_embeddings);
  expect_same(*model, *open_model(source, {.weights = WeightStorage::int4}));
}

TEST_F(Quantising, LoraAndRoutersGoOverCodes) {
  test::PeftFolder peft;
  peft.add_layer("language_model.model.layers.1.", 32, 88);
  peft.write(temp_.path / "lora");
  for (const WeightStorage weights : {WeightStorage::int8, WeightStorage::int4}) {
    const LoadOptions lora{.lora = temp_.path / "lora"}, both{.lora = temp_.path / "lora", .weights = weights};
    expect_same(*open_model(quantised(weights), lora), *open_model(kHf, both));
    const auto model = open_model(quantised(weights)), plain = open_model(quantised(weights));
    add_routers(*model, std::nullopt);
    model->plan = plan::parse_plan(parse_json(R"({"method": "p-mod"})", "test"), "test", model->facts);
    train(*model, 0.3);
    const fs::path out = fresh("tuned");
    write_tuned(*model, model->plan, out);
    const auto read = open_model(out);
    EXPECT_EQ(read->decoder.config.routers.size(), 3U);
    expect_same(*read, *model);
    EXPECT_FALSE(outputs_of(*read) == outputs_of(*plain));
  }
}

TEST_F(Quantising, ASavedCopyIsTheSameModel) {
  convert_folder(quantised(WeightStorage::int4), temp_.path / "copy", TargetLayout::same);
  expect_same(*open_model(temp_.path / "copy"), *open_model(quantised(WeightStorage::int4)));
}

TEST_F(Quantising, WhatCannotBeDoneOverCodesIsRefused) {
  const fs::path codes = quantised(WeightStorage::int8), out = temp_.path / "none";
  const auto expect = [&](const std::function<void()>& run, const std::string& part) {
    const std::string why = refusal(run);
    EXPECT_NE(why.find(part), std::string::npos) << why;
    EXPECT_FALSE(fs::exists(out));
  };
  expect([&] { quantise_folder(codes, out, {.weights = WeightStorage::int4}); }, "its weights are codes already");
  expect([&] { convert_folder(codes, out, TargetLayout::original); }, "copied with --to same only");
  const auto wide = open_model(codes, {.weights = WeightStorage::float32});
  expect([&] { require_plain_files(*wide); }, "stored as codes, which fold would round again");
  expect([&] { quantise_folder(kHf, out, {.weights = WeightStorage::float16}); }, "to bfloat16, int8 or int4 only");
  expect([&] { quantise_folder(golden_folder("meter") / "checkpoint/meter.ckpt", out, {}); }, "METER has no layout");
  expect([&] { quantise_folder(fs::path(LITHE_TEST_DATA) / "lora/hf", out, {}); }, "fold it first");
  expect([&] { quantise_folder(kHf, kHf / "inside", {}); }, "inside");
}

TEST_F(Quantising, NumbersThatAreNotFiniteAreNamed) {
  fs::copy(kHf, temp_.path / "model", fs::copy_options::recursive);
  const std::string name = "language_model.model.layers.1.mlp.up_proj.weight";
  edit_tensors(temp_.path / "model/model.safetensors", [&](auto& tensors) {
    std::vector<float> values(88 * 32, 1);
    values[7] = NAN;
    tensors[name] = io::tensor_of<float>({88, 32}, values);
  });
  for (const WeightStorage weights : {WeightStorage::int8, WeightStorage::int4, WeightStorage::bfloat16}) {
    const fs::path out = temp_.path / "out";
    const std::string why = refusal([&] { quantise_folder(temp_.path / "model", out, {.weights = weights}); });
    EXPECT_NE(why.find(name + "\" holds numbers that are not finite"), std::string::npos) << why;
    EXPECT_FALSE(fs::exists(out));
  }
}

TEST_F(Quantising, ReportsProgressAndWhatItDid) {
  std::vector<std::pair<int64_t, int64_t>> seen;
  const Quantised done = quantise_folder(kHf, temp_.path / "out", {.weights = WeightStorage::int4},
                                         [&](int64_t at, int64_t total) { seen.emplace_back(at, total); });
  ASSERT_GT(seen.size(), 10U);
  EXPECT_EQ(seen.back().first, seen.back().second);
  EXPECT_EQ(seen.back().second, done.bytes);
  EXPECT_EQ(done.bytes, io::Checkpoint::open(temp_.path / "out").bytes());
  EXPECT_EQ(done.bytes_before, io::Checkpoint::open(kHf).bytes());
  EXPECT_EQ(done.int4, 3 * 6 + 3 * 6 + 2);  // of decoder, tower (its last layer is not read) and projector
  EXPECT_EQ(done.int8, 3 + 2);              // down_proj is 88 wide; embeddings and head
}

}  // namespace
}  // namespace lithe::models
