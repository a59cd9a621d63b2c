#include "ops/code_gemm.h"
#include "support.h"

#include <ATen/ops/arange.h>

#include <map>
#include <sstream>

#include "checkpoints/read/catalogue.h"
#include "checkpoints/read/config.h"
#include "io/torch_output.h"

namespace lithe::models {
namespace {

using routing::RowKind;

/// The file mapped at this address, by /proc/self/maps.
std::string file_at(const void* address) {
  std::ifstream maps("/proc/self/maps");
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    char dash = 0;
    std::istringstream(line) >> std::hex >> begin >> dash >> end;
    if (wanted >= begin && wanted < end) return line.substr(std::min(line.size(), line.find('/')));
  }
  return "";
}

Tensor logits_of(const Golden& golden, const Model& model) {
  std::vector<RowKind> kinds;
  for (const int64_t vision : golden.integers("s0.mod_target_mask"))
    kinds.push_back(vision ? RowKind::vision : RowKind::text);
  return prefill(model, golden.floats("s0.inputs_embeds"), kinds).logits;
}

TEST(Loading, WeightsAreMappedWhereTheTypeIsKept) {
  const auto model = open_model(golden_folder("pmod_llava15") / "checkpoint");
  EXPECT_NE(file_at(model->decoder.embeddings.address()).find("model.safetensors"), std::string::npos);
  EXPECT_NE(file_at(model->decoder.head.weight.address()).find("model.safetensors"), std::string::npos);
  EXPECT_EQ(model->facts.routers.size(), 7u);
  EXPECT_EQ(model->plan.layers.size(), 7u);
  EXPECT_EQ(model->family, "llava_original");
}

TEST(Loading, WeightsOutliveTheirLoader) {
  const Golden golden("liuhaotian_llava15");
  TempFolder temp;
  fs::copy(golden.folder / "checkpoint", temp.path / "checkpoint", fs::copy_options::recursive);
  fs::copy(golden.folder / "vision_tower", temp.path / "vision_tower", fs::copy_options::recursive);
  const auto model = open_model(temp.path / "checkpoint/");
  fs::remove_all(temp.path);
  const Tensor logits = logits_of(golden, *model), expected = golden.floats("s0.logits_tail");
  EXPECT_TRUE(close(logits.narrow(0, logits.size(0) - 8, 8), expected));
  EXPECT_EQ(model->name, "checkpoint");
}

TEST(Loading, PinpointsThatDifferAreNoted) {
  TempFolder temp;
  const fs::path folder = temp.path / "checkpoint", config = folder / "config.json";
  fs::copy(golden_folder("hf_llavanext") / "checkpoint", folder, fs::copy_options::recursive);
  const auto notes = [&] { return open_model(folder)->notes; };
  const std::vector<std::string> before = notes();
  Json json = read_json_file(config);
  json["image_grid_pinpoints"] = "[(56, 56)]";
  std::ofstream(config) << json;
  const std::vector<std::string> after = notes();
  ASSERT_EQ(after.size(), before.size() + 1);
  EXPECT_NE(after.back().find("other image_grid_pinpoints"), std::string::npos) << after.back();
  json["image_grid_pinpoints"] = "garbage";
  std::ofstream(config) << json;
  EXPECT_THROW(notes(), Error);
}

// A language model and the projector of LLaVA's first stage are published apart; docs/reproduce-eas.md joins them so.
TEST(Loading, AProjectorMayBeAShardOfItsOwn) {
  const Golden golden("liuhaotian_llava15");
  TempFolder temp;
  const fs::path folder = temp.path / "llava-7b-v1.3";
  fs::copy(golden.folder / "checkpoint", folder, fs::copy_options::recursive);
  fs::copy(golden.folder / "vision_tower", temp.path / "vision_tower", fs::copy_options::recursive);
  const io::SafetensorsFile file = io::open_safetensors(golden.folder / "checkpoint/model.safetensors");
  fs::remove(folder / "model.safetensors");
  std::map<std::string, std::vector<std::pair<std::string, io::TensorView>>> shards;
  Json index{{"weight_map", Json::object()}};
  for (const auto& [name, view] : file.tensors) {
    const bool projects = name.starts_with("model.mm_projector.");
    const std::string shard = projects ? "mm_projector.bin" : "pytorch_model-00001-of-00001.bin";
    shards[shard].emplace_back(name, view);
    index["weight_map"][name] = shard;
  }
  ASSERT_EQ(shards.size(), 2U);
  for (const auto& [shard, tensors] : shards) io::write_torch(folder / shard, tensors);
  write_text(folder / "pytorch_model.bin.index.json", index.dump());
  Json config = read_json_file(folder / "config.json");
  config["conversation"] = "vicuna_v1";
  write_text(folder / "config.json", config.dump());
  const auto joined = open_model(folder), whole = open_model(golden.folder / "checkpoint");
  EXPECT_TRUE(logits_of(golden, *joined).equal(logits_of(golden, *whole)));
  EXPECT_TRUE(joined->vision->projector.layers[0]
                  .weight.widened(at::kFloat)
                  .equal(whole->vision->projector.layers[0].weight.widened(at::kFloat)));
  EXPECT_EQ(joined->prompting.conversation, "vicuna_v1");
}

TEST(Loading, StorageTypes) {
  const Golden golden("liuhaotian_llava15");
  const Tensor expected = golden.floats("s0.logits_tail");
  const std::vector<std::tuple<WeightStorage, at::ScalarType, double>> cases{
      {WeightStorage::float32, at::kFloat, 2e-4},
      {WeightStorage::bfloat16, at::kBFloat16, 4e-2},
      {WeightStorage::float16, at::kHalf, 1e-2}};
  for (const auto& [storage, type, tolerance] : cases) {
    const auto model = open_model(golden.folder / "checkpoint", {.weights = storage});
    const auto& attention = std::get<nn::Attention>(model->decoder.blocks[0].sites[0].branch);
    EXPECT_EQ(attention.query.weight.type(), type);
    EXPECT_EQ(model->decoder.norm.gain.scalar_type(), at::kFloat);
    EXPECT_EQ(model->vision->tower.class_embedding->scalar_type(), at::kFloat);
    const Tensor logits = logits_of(golden, *model);
    EXPECT_TRUE(close(logits.narrow(0, logits.size(0) - 8, 8), expected, tolerance, tolerance));
  }
}

TEST(Loading, HoldsProductsAsCodes) {
  const Golden golden("liuhaotian_llava15");
  const auto whole = open_model(golden.folder / "checkpoint");
  for (const auto& [storage, name, tolerance] :
       {std::tuple{WeightStorage::int8, "int8", 0.03}, {WeightStorage::int4, "int4", 0.3}}) {
    const auto model = open_model(golden.folder / "checkpoint", {.weights = storage});
    const auto& attention = std::get<nn::Attention>(model->decoder.blocks[0].sites[0].branch);
    EXPECT_STREQ(attention.query.weight.storage(), name);
    EXPECT_EQ(main_storage(*model), name);
    EXPECT_STREQ(model->decoder.embeddings.storage(), "int8");
    EXPECT_STREQ(model->decoder.head.weight.storage(), "int8");
    EXPECT_EQ(model->decoder.norm.gain.scalar_type(), at::kFloat);
    EXPECT_LT(model->loaded.bytes, whole->loaded.bytes / 2);
    // Codes are another model: its answers are those of the weights that they stand for.
    const Tensor logits = logits_of(golden, *model), expected = logits_of(golden, *whole);
    EXPECT_LT((logits - expected).norm().item<double>(), tolerance * expected.norm().item<double>()) << name;
    visit(model->decoder, [](const WeightSlot& slot) {
      if (auto* const* weight = std::get_if<nn::Weight*>(&slot.place)) **weight = (*weight)->widened(at::kFloat);
    });
    const double most = ops::has_code_gemm() ? 2e-3 : 1e-4;  // it rounds rows to 16 bits
    EXPECT_TRUE(close(logits_of(golden, *model), logits, most, most)) << name;
  }
}

TEST(Loading, ShowsWhichWeightsAreNotFiniteAsCodesToo) {
  TempFolder temp;
  fs::copy(golden_folder("hf_llava15") / "checkpoint", temp.path, fs::copy_options::recursive);
  const std::string name = "language_model.model.layers.1.mlp.up_proj.weight";
  edit_tensors(temp.path / "model.safetensors", [&](auto& tensors) {
    std::vector<float> values(tensors.at(name).template values<float>().begin(),
                              tensors.at(name).template values<float>().end());
    values[7] = NAN;
    tensors[name] = io::tensor_of<float>(tensors.at(name).shape, values);
  });
  const auto model = open_model(temp.path, {.weights = WeightStorage::int4});
  bool found = false;
  visit(*model, [&](const HeldWeight& held) { found = found || std::isnan(held.weight.extremes().first); });
  EXPECT_TRUE(found);
}

TEST(Loading, ReportsProgressAndBytes) {
  std::vector<std::pair<int64_t, int64_t>> seen;
  const auto model = open_model(golden_folder("hf_llava15") / "checkpoint",
                                {.progress = [&](int64_t done, int64_t total) { seen.emplace_back(done, total); }});
  ASSERT_GE(seen.size(), 2u);
  EXPECT_EQ(seen.front().first, 0);
  EXPECT_EQ(seen.back().first, seen.back().second);
  EXPECT_EQ(seen.back().second, model->loaded.bytes);  // float32 in the file and in memory
}

/// bfloat16 reaches further than float16, in which a weight must not become infinite unnoticed.
TEST(Loading, WeightsThatFloat16CannotHoldAreNamed) {
  TempFolder temp;
  fs::copy(golden_folder("hf_llava15") / "checkpoint", temp.path, fs::copy_options::recursive);
  edit_tensors(temp.path / "model.safetensors", [](auto& tensors) {
    const std::string name = "language_model.model.layers.1.mlp.up_proj.weight";
    std::vector<float> values(tensors.at(name).template values<float>().begin(),
                              tensors.at(name).template values<float>().end());
    values[7] = -70000;
    tensors[name] = io::tensor_of<float>(tensors.at(name).shape, values);
  });
  const std::string why = refusal([&] { open_model(temp.path, {.weights = WeightStorage::float16}); });
  EXPECT_NE(why.find("layers.1.mlp.up_proj.weight\" reaches 70000, which float16 cannot hold; use --weights bfloat16"),
            std::string::npos)
      << why;
  for (const WeightStorage storage : {WeightStorage::as_in_file, WeightStorage::bfloat16})
    EXPECT_NO_THROW(open_model(temp.path, {.weights = storage}));
}

/// What other programs' formats look like, by tensors alone and by the config.
TEST(Loading, QuantisedWeightsAreNamed) {
  const std::string query = "language_model.model.layers.0.self_attn.q_proj.";
  struct Quantised {
    const char *tensor, *method;
  };
  for (const Quantised& kind :
       {Quantised{"weight.absmax", "bitsandbytes (4 bits)"}, Quantised{"weight.SCB", "bitsandbytes (8 bits)"},
        Quantised{"g_idx", "GPTQ"}, Quantised{"qweight", "GPTQ or AWQ"},
        Quantised{"weight_packed", "compressed-tensors"}, Quantised{"weight_scale_inv", "fp8"},
        Quantised{"weight", "a method that stores I8 numbers"}}) {
    SCOPED_TRACE(kind.tensor);
    TempFolder temp;
    fs::copy(golden_folder("hf_llava15") / "checkpoint", temp.path, fs::copy_options::recursive);
    edit_tensors(temp.path / "model.safetensors", [&](auto& tensors) {
      tensors.erase(query + "weight");
      tensors[query + kind.tensor] = io::tensor_of<int8_t>({32, 32}, std::vector<int8_t>(1024));
    });
    const auto expect = [&](const std::string& part) {
      const std::string why = refusal([&] { open_model(temp.path); });
      EXPECT_NE(why.find("the weights are quantised by " + part), std::string::npos) << why;
    };
    expect(kind.method);
    edit_json(temp.path / "config.json", [](Json& json) {
      json["quantization_config"] = {{"quant_method", "hqq"}, {"bits", 4}};
    });
    expect("hqq (4 bits)");
  }
}

/// A leftover quantisation config says nothing about weights that are not quantised.
TEST(Loading, AQuantisedConfigOverPlainWeightsOpens) {
  TempFolder temp;
  fs::copy(golden_folder("hf_llava15") / "checkpoint", temp.path, fs::copy_options::recursive);
  edit_json(temp.path / "config.json", [](Json& json) {
    json["quantization_config"] = {{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}};
  });
  EXPECT_NO_THROW(open_model(temp.path));
}

TEST(Loading, MissingTokenizerLeavesTheModelUsable) {
  const auto model = open_model(golden_folder("liuhaotian_llava15") / "checkpoint_bin_sharded");
  EXPECT_FALSE(model->prompting.tokenizer.has_value());
  EXPECT_EQ(model->prompting.eos_ids, std::vector<int64_t>{2});
}

TEST(Loading, PromptsAreWrittenByTheFamily) {
  const auto hf = open_model(golden_folder("hf_llava15") / "checkpoint");
  text::Message question{"user",
                         {{text::Part::Kind::image, ""}, {text::Part::Kind::text, "What is shown in the picture?"}}};
  EXPECT_EQ(hf->prompting.render({question}), "USER: <image>\nWhat is shown in the picture? ASSISTANT:");
  EXPECT_EQ(hf->prompting.dialect, text::Dialect::hf);
  const auto original = open_model(golden_folder("pmod_llava15") / "checkpoint");
  EXPECT_EQ(original->prompting.stop_strings, std::vector<std::string>{"</s>"});
  std::ifstream file(golden_folder("pmod_llava15") / "inputs/prompt0.txt");
  const std::string expected((std::istreambuf_iterator<char>(file)), {});
  EXPECT_EQ(original->prompting.render({question}), expected);
}

DecoderConfig decoder_of(const char* json, const char* kind) {
  const Json config = parse_json(json, "config");
  return read_decoder_config(JsonView(config, "config"), kind);
}

TEST(Config, SparseConfigsTakeTheDefaultsOfTransformers) {
  // text_config of llava-hf/llava-1.5-7b-hf
  const DecoderConfig vicuna = decoder_of(
      R"({"max_position_embeddings": 4096, "model_type": "llama", "rms_norm_eps": 1e-05, "vocab_size": 32064})",
      "llama");
  EXPECT_EQ(vicuna.layers, 32);
  EXPECT_EQ(vicuna.hidden, 4096);
  EXPECT_EQ(vicuna.intermediate, 11008);
  EXPECT_EQ(vicuna.kv_heads, 32);
  EXPECT_EQ(vicuna.head_dim, 128);
  EXPECT_FALSE(vicuna.window.has_value());
  EXPECT_EQ(decoder_of("{}", "llama").norm_eps, 1e-6);
  const DecoderConfig mistral = decoder_of("{}", "mistral");
  EXPECT_EQ(mistral.intermediate, 14336);
  EXPECT_EQ(mistral.kv_heads, 8);
  EXPECT_EQ(mistral.max_positions, 131072);
  EXPECT_EQ(mistral.window, 4096);
  EXPECT_FALSE(decoder_of(R"({"sliding_window": null})", "mistral").window.has_value());
  EXPECT_EQ(decoder_of(R"({"head_dim": 64})", "mistral").head_dim, 64);
}

TEST(Config, Qwen2HasBiasesOnQueriesKeysAndValuesAndWindowsInLaterLayers) {
  const DecoderConfig sparse = decoder_of(R"({"attention_bias": false, "mlp_bias": true})", "qwen2");
  EXPECT_EQ(sparse.intermediate, 22016);
  EXPECT_EQ(sparse.kv_heads, 32);
  EXPECT_EQ(sparse.vocab, 151936);
  EXPECT_EQ(sparse.max_positions, 32768);
  EXPECT_EQ(sparse.norm_eps, 1e-6);
  EXPECT_TRUE(sparse.attention_bias);
  EXPECT_FALSE(sparse.output_bias || sparse.mlp_bias);
  // the window is there in every published config, and not used
  EXPECT_FALSE(decoder_of(R"({"sliding_window": 7, "use_sliding_window": false})", "qwen2").window);
  EXPECT_FALSE(decoder_of(R"({"use_sliding_window": true, "max_window_layers": 32})", "qwen2").window);
  const Decoder windowed = shaped_decoder(decoder_of(
      R"({"sliding_window": 7, "use_sliding_window": true, "max_window_layers": 2, "num_hidden_layers": 4})", "qwen2"));
  const auto window_of = [&](size_t layer) {
    return std::get<nn::Attention>(windowed.blocks[layer].find(routing::Site::Kind::self)->branch).window;
  };
  EXPECT_FALSE(window_of(0) || window_of(1));
  EXPECT_EQ(window_of(2), 7);
  EXPECT_EQ(window_of(3), 7);
}

TEST(Config, LayerTypesOfQwen2SayWhichLayersSeeAWindow) {
  const auto with_types = [](const std::string& types) {
    const std::string start = R"({"use_sliding_window": true, "max_window_layers": 3, "num_hidden_layers": 3, )";
    return decoder_of((start + R"("layer_types": )" + types + "}").c_str(), "qwen2");
  };
  const DecoderConfig windowed = with_types(R"(["full_attention", "sliding_attention", "sliding_attention"])");
  EXPECT_EQ(windowed.window_from, 1);
  EXPECT_EQ(windowed.window, 4096);
  EXPECT_FALSE(with_types(R"(["full_attention", "full_attention", "full_attention"])").window);
  EXPECT_FALSE(with_types("null").window);
  for (const char* refused : {R"(["sliding_attention", "full_attention", "full_attention"])",
                              R"(["full_attention", "sliding_attention"])", R"(["full_attention", 7, "linear"])", "{}"})
    EXPECT_THROW(with_types(refused), Error) << refused;
}

TEST(Config, TilesMayBeRectangles) {
  const auto tower_of = [](const char* json) {
    const Json config = parse_json(json, "config");
    return read_tower_config(JsonView(config, "config"), -1);
  };
  const VisionTowerConfig wide = tower_of(R"({"model_type": "siglip", "image_size": [32, 50], "patch_size": 16})");
  EXPECT_EQ(wide.grid(), (image::Size{3, 2}));
  EXPECT_EQ(wide.tokens(), 6);
  EXPECT_EQ(wide.rows(), 6);
  EXPECT_EQ(tower_of(R"({"image_size": 32, "patch_size": 16})").rows(), 5);
  for (const char* sides : {"[32]", "[32, 0]", "[32, \"a\"]", "[32, 99999]"}) {
    const std::string json = concat(R"({"image_size": )", sides, "}");
    EXPECT_NE(refusal([&] { tower_of(json.c_str()); }).find("must be a side or [height, width]"), std::string::npos);
  }
}

TEST(Config, RopeInBothForms) {
  using Scaling = ops::RopeConfig::Scaling;
  const auto old =
      decoder_of(
          R"({"rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
      "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})",
          "llama")
          .rope;
  const auto young =
      decoder_of(
          R"({"rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
      "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})",
          "llama")
          .rope;
  for (const ops::RopeConfig& rope : {old, young}) {
    EXPECT_EQ(rope.scaling, Scaling::llama3);
    EXPECT_EQ(rope.theta, 500000.0);
    EXPECT_EQ(rope.original_positions, 8192);
    EXPECT_EQ(rope.factor, 8.0);
  }
  const auto dynamic =
      decoder_of(R"({"max_position_embeddings": 512, "rope_scaling": {"type": "dynamic", "factor": 2.0}})", "llama")
          .rope;
  EXPECT_EQ(dynamic.scaling, Scaling::dynamic);
  EXPECT_EQ(dynamic.original_positions, 512);
  const auto yarn =
      decoder_of(
          R"({"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512, "beta_fast": 16}})",
          "llama")
          .rope;
  EXPECT_EQ(yarn.scaling, Scaling::yarn);
  EXPECT_EQ(yarn.beta_fast, 16.0);
  EXPECT_EQ(yarn.attention_factor, 0.0);
}

TEST(RandomModel, HasTheShapeAndRoutersAndASampledPlan) {
  const auto model = random_model("llava-next-7b", 1, 1, WeightStorage::bfloat16, 7);
  EXPECT_EQ(model->decoder.embeddings.type(), at::kBFloat16);
  EXPECT_EQ(model->decoder.config.hidden, 4096);
  ASSERT_EQ(model->plan.layers.size(), 1u);
  EXPECT_NEAR(*model->plan.layers[0].rules[0].keep_share, 0.4747, 1e-4);  // layer 16 of 32
  const Tensor first = model->decoder.embeddings.first_rows(256).widened(at::kFloat);
  EXPECT_NEAR(first.mean().item<double>(), 0, 1e-3);
  EXPECT_NEAR(first.var().item<double>(), 1.0 / 4096, 1e-5);
  const Tensor rows = prefill(*model, model->decoder.embed(at::arange(4)), std::vector<RowKind>(4)).logits;
  EXPECT_TRUE(rows.isfinite().all().item<bool>());
  const ImageRows picture = model->encode_image(image::Image(700, 500, 10, 20, 30));
  EXPECT_EQ(picture.pixels.size(0), 5);
  EXPECT_EQ(picture.rows.size(1), 4096);
}

TEST(RandomModel, HoldsCodes) {
  const auto model = random_model("llava-1.5-7b", 1, 1, WeightStorage::int4, 7);
  EXPECT_EQ(main_storage(*model), "int8");  // with one layer, there are more embeddings
  EXPECT_STREQ(std::get<nn::Attention>(model->decoder.blocks[0].sites[0].branch).query.weight.storage(), "int4");
  const int64_t layer = 4 * 4096 * 4096 + 3 * 4096 * 11008, tables = 2 * 32000 * 4096;
  EXPECT_NEAR(static_cast<double>(model->loaded.bytes), 4.5 / 8 * layer + tables, 0.08 * (layer + tables));
  const Tensor rows = prefill(*model, model->decoder.embed(at::arange(4)), std::vector<RowKind>(4)).logits;
  EXPECT_TRUE(rows.isfinite().all().item<bool>());
}

TEST(RandomModel, RefusesOtherShapes) {
  EXPECT_NE(refusal([] { random_model("llava-2-7b", 1, 1, WeightStorage::float32, 0); }).find("llava-1.5-7b"),
            std::string::npos);
  EXPECT_NE(refusal([] { random_model("llava-1.5-7b", 33, 1, WeightStorage::float32, 0); }).find("1 to 32"),
            std::string::npos);
}

}  // namespace
}  // namespace lithe::models
