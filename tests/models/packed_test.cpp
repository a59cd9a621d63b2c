#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linspace.h>

#include <random>

#include "checkpoints/read/catalogue.h"
#include "checkpoints/read/packed_weights.h"
#include "ops/product.h"
#include "peft_folder.h"
#include "support.h"

namespace lithe::models {
namespace {

using io::Dtype;
using io::TensorView;

const fs::path kPacked = fs::path(LITHE_TEST_DATA) / "packed";

struct Case {
  const char* folder;
  const char* storage;  ///< Of the weight "a".
  bool mapped = false;  ///< Codes are not copied.
};
const std::vector<Case> kCases{
    {"compressed_int4_group32", "int4"},
    {"compressed_int4_zeros", "int4"},
    {"compressed_int4_rows", "int8"},  // a width that int4 does not take
    {"compressed_int8_zeros", "int8"},
    {"compressed_int8_group64", "int8"},
    {"compressed_bytes", "int8", true},
    {"compressed_bytes_zeros", "int8", true},
    {"gptq_int4_group64", "int4"},
    {"gptq_int4_ragged", "int8"},
    {"gptq_int8_rows", "int8"},
    {"gptq_v2_int4_group128", "int4"},
    {"gptq_act_order", "int4"},
    {"awq_group128", "int4"},
    {"awq_rows", "int4"},
};

/// A folder with its packed weights found.
struct Opened {
  explicit Opened(const fs::path& folder) : checkpoint(io::Checkpoint::open(folder)), parts(packed.add(checkpoint)) {}
  const PackedWeight& at(const std::string& name) const { return *packed.find(checkpoint.at(name)); }

  io::Checkpoint checkpoint;
  PackedWeights packed;
  std::vector<std::string> parts;
};

TEST(Packed, NumbersAreThoseOfTheFormat) {
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.folder);
    const Opened opened(kPacked / test.folder);
    const io::SafetensorsFile expected = io::open_safetensors(kPacked / test.folder / "expected.safetensors");
    for (const auto& [name, view] : expected.tensors) {
      const PackedWeight& weight = opened.at(name);
      EXPECT_EQ(opened.checkpoint.at(name).shape, view.shape);
      EXPECT_TRUE(at::equal(widened(weight), tensor_over(view))) << name;
    }
    const nn::Weight held(opened.at("a.weight").codes());
    EXPECT_STREQ(held.storage(), test.storage);
    const auto& codes = opened.checkpoint.at(opened.at("a.weight").parts.front());
    EXPECT_EQ(held.address() == codes.bytes.data(), test.mapped);
  }
}

TEST(Packed, ProductsAreThoseOfTheNumbers) {
  for (const Case& test : kCases) {
    const Opened opened(kPacked / test.folder);
    const PackedWeight& packed = opened.at("a.weight");
    if (!packed.order.empty()) continue;
    const nn::Weight weight(packed.codes());
    constexpr int64_t kRows = ops::kMostDotRowsOfCodes;  // more rows may be rounded to 16 bits
    const Tensor x = at::linspace(-1, 1, 3 * weight.in()).reshape({3, weight.in()}).narrow(0, 0, kRows);
    const Tensor wide = widened(packed);
    EXPECT_TRUE(close(weight.product(x, std::nullopt), x.matmul(wide.t()), 1e-4, 1e-5)) << test.folder;
    EXPECT_TRUE(at::equal(weight.rows(at::arange(2)), wide.narrow(0, 0, 2))) << test.folder;
  }
}

TEST(Packed, OrderIsKnownByGroups) {
  EXPECT_TRUE(Opened(kPacked / "gptq_int4_group64").at("a.weight").order.empty());
  EXPECT_FALSE(Opened(kPacked / "gptq_act_order").at("a.weight").order.empty());
}

/// A golden model with the products of its decoder as a fixture packs them.
void make_model(const std::string& fixture, const fs::path& folder) {
  fs::copy(golden_folder("hf_llava15") / "checkpoint", folder, fs::copy_options::recursive);
  const Opened packed(kPacked / fixture);
  edit_tensors(folder / "model.safetensors", [&](auto& tensors) {
    for (const std::string& part : packed.parts) {
      tensors.erase(plain_name_of_part(part).value_or(part));
      tensors[part] = packed.checkpoint.at(part);
    }
  });
  edit_json(folder / "config.json", [&](Json& json) {
    json["quantization_config"] = read_json_file(kPacked / fixture / "config.json").at("quantization_config");
  });
}

/// The same model with the numbers that the codes stand for.
void make_plain_model(const fs::path& packed, const fs::path& folder) {
  fs::copy(packed, folder, fs::copy_options::recursive);
  const Opened opened(packed);
  edit_tensors(folder / "model.safetensors", [&](auto& tensors) {
    for (const std::string& part : opened.parts) {
      const auto name = plain_name_of_part(part);
      tensors.erase(part);
      if (!name || tensors.contains(*name)) continue;
      const Tensor wide = widened(opened.at(*name));
      tensors[*name] = io::tensor_of<float>(wide.sizes().vec(),
                                            std::span(wide.const_data_ptr<float>(), static_cast<size_t>(wide.numel())));
    }
  });
  edit_json(folder / "config.json", [](Json& json) { json.erase("quantization_config"); });
}

/// Of so few rows that codes are multiplied in float32, if nothing else is said.
Tensor logits_of(const Model& model, int64_t rows = ops::kMostDotRowsOfCodes) {
  return prefill(model, model.decoder.embed(at::arange(3, 3 + rows)),
                 std::vector(static_cast<size_t>(rows), routing::RowKind::text))
      .logits;
}

const nn::Weight& query_of(const Model& model) {
  return std::get<nn::Attention>(model.decoder.blocks[0].sites[0].branch).query.weight;
}

class PackedModels : public testing::TestWithParam<const char*> {
 protected:
  PackedModels() {
    make_model(GetParam(), temp_.path / "packed");
    make_plain_model(temp_.path / "packed", temp_.path / "plain");
  }
  fs::path folder() const { return temp_.path / "packed"; }
  fs::path plain_folder() const { return temp_.path / "plain"; }

 private:
  TempFolder temp_;
};
INSTANTIATE_TEST_SUITE_P(Formats, PackedModels, testing::Values("llava_compressed", "llava_gptq", "llava_awq"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(PackedModels, AnswersAsTheModelOfItsNumbers) {
  const auto packed = open_model(folder()), plain = open_model(plain_folder());
  EXPECT_STREQ(query_of(*packed).storage(), "int4");
  EXPECT_STREQ(packed->decoder.head.weight.storage(), "float32");
  EXPECT_LT(packed->loaded.bytes, plain->loaded.bytes);
  EXPECT_TRUE(close(logits_of(*packed), logits_of(*plain), 1e-5, 1e-5));
  EXPECT_TRUE(close(logits_of(*packed, 40), logits_of(*plain, 40), 2e-3, 2e-3));  // rows may be rounded to 16 bits
}

TEST_P(PackedModels, AreWidenedOnDemand) {
  const auto packed = open_model(folder(), {.weights = WeightStorage::float32}), plain = open_model(plain_folder());
  EXPECT_TRUE(at::equal(logits_of(*packed), logits_of(*plain)));
}

/// Codes of the file are not rounded again; plain weights are rounded as asked.
TEST_P(PackedModels, KeepTheirCodesUnderAnotherKind) {
  const auto packed = open_model(folder(), {.weights = WeightStorage::int8});
  EXPECT_STREQ(query_of(*packed).storage(), "int4");
  EXPECT_STREQ(packed->decoder.head.weight.storage(), "int8");
}

TEST_P(PackedModels, CodesDoNotLearn) {
  const std::string why = refusal(
      [&] { open_model(folder(), {.learns = [](const WeightName& name) { return name.part == Part::decoder; }}); });
  EXPECT_NE(why.find("is to learn, but the file holds it as codes; tune adapters or LoRA"), std::string::npos) << why;
  EXPECT_NO_THROW(
      open_model(folder(), {.learns = [](const WeightName& name) { return name.part == Part::projector; }}));
}

TEST_P(PackedModels, TakeLora) {
  TempFolder lora;
  test::PeftFolder peft;
  for (const int layer : {0, 1, 2}) peft.add_layer(concat("language_model.model.layers.", layer, "."), 32, 88);
  peft.write(lora.path / "lora");
  const auto packed = open_model(folder(), {.lora = lora.path / "lora"}),
             plain = open_model(plain_folder(), {.lora = lora.path / "lora"});
  EXPECT_EQ(packed->loaded.lora->products, 21);
  EXPECT_TRUE(close(logits_of(*packed), logits_of(*plain), 1e-5, 1e-5));
  EXPECT_FALSE(close(logits_of(*packed), logits_of(*open_model(folder())), 1e-5, 1e-5));
}

TEST(Packed, SortedColumnsAreReadAsNumbersOnly) {
  TempFolder temp;
  make_model("llava_gptq", temp.path / "model");
  const std::string part = "language_model.model.layers.1.mlp.down_proj.g_idx";
  edit_tensors(temp.path / "model/model.safetensors", [&](auto& tensors) {
    std::vector<int32_t> groups(tensors.at(part).template values<int32_t>().begin(),
                                tensors.at(part).template values<int32_t>().end());
    std::swap(groups.front(), groups.back());
    tensors[part] = io::tensor_of<int32_t>({88}, groups);
  });
  const std::string why = refusal([&] { open_model(temp.path / "model"); });
  EXPECT_NE(why.find("by activation order (desc_act), which are read with --weights float32"), std::string::npos)
      << why;
  make_plain_model(temp.path / "model", temp.path / "plain");
  const auto wide = open_model(temp.path / "model", {.weights = WeightStorage::float32});
  EXPECT_TRUE(at::equal(logits_of(*wide), logits_of(*open_model(temp.path / "plain"))));
}

// Settings and files that are not read.

struct Refused {
  const char* fixture;
  std::function<void(Json&)> edit;
  const char* why;
};

TEST(Packed, SettingsThatAreNotReadAreNamed) {
  const auto group = [](const char* key, const Json& value) {
    return [=](Json& json) { json["config_groups"]["group_0"][key] = value; };
  };
  const auto weights = [](const char* key, const Json& value) {
    return [=](Json& json) { json["config_groups"]["group_0"]["weights"][key] = value; };
  };
  const auto set = [](const char* key, const Json& value) { return [=](Json& json) { json[key] = value; }; };
  const std::vector<Refused> cases{
      {"llava_compressed", group("input_activations", {{"num_bits", 8}}), "activations are quantised too"},
      {"llava_compressed", group("format", "nvfp4-pack-quantized"), "the format \"nvfp4-pack-quantized\""},
      {"llava_compressed", weights("type", "float"), "weights of type \"float\" with 4 bits"},
      {"llava_compressed", weights("num_bits", 3), "with 3 bits are not supported"},
      {"llava_compressed", weights("num_bits", "four"), "'num_bits' must be an integer"},
      {"llava_compressed", set("format", "marlin-24"), "the format \"marlin-24\" is not supported; give a model"},
      {"llava_compressed", set("kv_cache_scheme", {{"num_bits", 8}}), "'kv_cache_scheme' is not supported"},
      {"llava_compressed", set("transform_config", {{"config_groups", 1}}), "'transform_config' is not supported"},
      {"llava_compressed", set("sparsity_config", {{"format", "sparse-24-bitmask"}}), "weights stored sparsely"},
      {"llava_compressed", set("config_groups", {{"FP8", {"Linear"}}}), "config_groups: FP8 is not supported"},
      {"llava_compressed", set("config_groups", 3), "expected a JSON object"},
      {"llava_gptq", set("bits", 3), "codes of 3 bits are not supported; give a model in the format gptq"},
      {"llava_gptq", set("checkpoint_format", "marlin"), "the format \"marlin\" is not supported"},
      {"llava_gptq", set("is_marlin_format", true), "the format \"marlin\" is not supported"},
      {"llava_gptq", set("group_size", 0), "'group_size' is 0, expected -1 or more than 0"},
      {"llava_gptq", [](Json& json) { json.erase("bits"); }, "'bits' is missing"},
      {"llava_gptq", set("quant_method", "hqq"), "quantised by hqq (4 bits), which is not read"},
      {"llava_awq", set("version", "gemv"), "the version \"gemv\" is not supported"},
      {"llava_awq", set("bits", 8), "codes of 8 bits are not supported"},
      {"llava_awq", set("zero_point", false), "without zero points are not supported"},
  };
  for (const Refused& refused : cases) {
    TempFolder temp;
    make_model(refused.fixture, temp.path / "model");
    edit_json(temp.path / "model/config.json", [&](Json& json) { refused.edit(json["quantization_config"]); });
    const std::string why = refusal([&] { open_model(temp.path / "model"); });
    EXPECT_NE(why.find(refused.why), std::string::npos) << why;
    EXPECT_EQ(why.find('\n'), std::string::npos);
  }
}

/// What a hostile file may hold in place of a part. Zeros of the given shape.
struct Broken {
  const char* fixture;
  const char* part;
  Dtype dtype;
  std::vector<int64_t> shape;
};

TEST(Packed, BrokenPartsAreRefusedInASentence) {
  const std::vector<Broken> cases{
      {"compressed_int4_zeros", "a.weight_packed", Dtype::int32, {16, 31}},
      {"compressed_int4_zeros", "a.weight_packed", Dtype::int32, {0, 32}},
      {"compressed_int4_zeros", "a.weight_packed", Dtype::int8, {16, 128}},
      {"compressed_int4_zeros", "a.weight_packed", Dtype::int32, {512}},
      {"compressed_int4_zeros", "a.weight_shape", Dtype::int64, {2}},  // zeros
      {"compressed_int4_zeros", "a.weight_shape", Dtype::int64, {3}},
      {"compressed_int4_zeros", "a.weight_shape", Dtype::float32, {2}},
      {"compressed_int4_zeros", "a.weight_scale", Dtype::float16, {16, 3}},
      {"compressed_int4_zeros", "a.weight_scale", Dtype::float16, {16, 0}},
      {"compressed_int4_zeros", "a.weight_scale", Dtype::float16, {2, 16}},
      {"compressed_int4_zeros", "a.weight_scale", Dtype::int8, {16, 2}},
      {"compressed_int4_zeros", "a.weight_zero_point", Dtype::int32, {16, 2}},
      {"compressed_int4_zeros", "a.weight_zero_point", Dtype::int8, {2, 2}},
      {"compressed_bytes_zeros", "a.weight", Dtype::int8, {0, 256}},
      {"compressed_bytes_zeros", "a.weight", Dtype::int8, {16, 16, 16}},
      {"compressed_bytes_zeros", "a.weight_scale", Dtype::float32, {16, 7}},
      {"compressed_bytes_zeros", "a.weight_zero_point", Dtype::int8, {15, 8}},
      {"gptq_int4_group64", "a.qweight", Dtype::int32, {32, 15}},
      {"gptq_int4_group64", "a.qweight", Dtype::int32, {0, 16}},
      {"gptq_int4_group64", "a.qweight", Dtype::int32, {512}},
      {"gptq_int4_group64", "a.qweight", Dtype::int8, {32, 16}},
      {"gptq_int4_group64", "a.qzeros", Dtype::int32, {4, 1}},
      {"gptq_int4_group64", "a.qzeros", Dtype::int8, {4, 2}},
      {"gptq_int4_group64", "a.scales", Dtype::float16, {3, 16}},
      {"gptq_int4_group64", "a.scales", Dtype::float16, {4, 8}},
      {"gptq_int4_group64", "a.scales", Dtype::float16, {0, 16}},
      {"gptq_int4_group64", "a.scales", Dtype::int32, {4, 16}},
      {"gptq_int4_group64", "a.g_idx", Dtype::int32, {255}},
      {"gptq_int4_group64", "a.g_idx", Dtype::int64, {256}},
      {"gptq_int4_group64", "a.g_idx", Dtype::int32, {256}},  // all in one group
      {"awq_group128", "a.qweight", Dtype::int32, {259, 2}},
      {"awq_group128", "a.qweight", Dtype::int32, {256, 0}},
      {"awq_group128", "a.qzeros", Dtype::int32, {2, 3}},
      {"awq_group128", "a.scales", Dtype::float16, {2, 15}},
      {"awq_group128", "a.scales", Dtype::boolean, {2, 16}},
  };
  for (const Broken& broken : cases) {
    TempFolder temp;
    fs::copy(kPacked / broken.fixture, temp.path, fs::copy_options::recursive);
    const std::vector<int8_t> zeros(static_cast<size_t>(*io::bytes_of(broken.dtype, broken.shape)));
    edit_tensors(temp.path / "model.safetensors", [&](auto& tensors) {
      ASSERT_TRUE(tensors.contains(broken.part));
      TensorView view = io::tensor_of<int8_t>({std::ssize(zeros)}, zeros);
      view.dtype = broken.dtype;
      view.shape = broken.shape;
      tensors[broken.part] = view;
    });
    try {
      const Opened opened(temp.path);
      ADD_FAILURE() << broken.fixture << ": " << broken.part << io::text_of(broken.shape) << " was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::bad_file) << error.what();
      EXPECT_NE(std::string(error.what()).find("a."), std::string::npos) << error.what();
    }
  }
}

/// Parts of any type, shape and bytes: what is not refused can be read to its end (the sanitizers watch).
TEST(Packed, OnlyErrorsEscape) {
  constexpr int kRounds = 40;
  const std::vector<int64_t> sizes{0, 1, 2, 3, 8, 16, 31, 32, 45, 128, 256};
  const std::vector<Dtype> types{Dtype::int32, Dtype::int8, Dtype::int64, Dtype::float16, Dtype::float32, Dtype::uint8};
  std::mt19937 random(2026);
  const auto any = [&](const auto& list) { return list[random() % list.size()]; };
  int64_t taken = 0, refused = 0;
  for (const Case& test : kCases) {
    const io::Checkpoint whole = io::Checkpoint::open(kPacked / test.folder);
    for (int round = 0; round < kRounds; ++round) {
      std::map<std::string, TensorView> tensors;
      for (const std::string& name : whole.names()) tensors[name] = whole.at(name);
      TensorView& part = tensors.at(any(whole.names()));
      if (random() % 2 == 0) part.dtype = any(types);
      const size_t dimensions = random() % 4 == 0 ? 1 : 2;
      if (random() % 2 == 0 || part.shape.size() > 2) part.shape.assign(dimensions, any(sizes));
      for (int64_t& size : part.shape)
        if (random() % 3 == 0) size = any(sizes);
      std::vector<int8_t> bytes(static_cast<size_t>(*io::bytes_of(part.dtype, part.shape)));
      for (int8_t& byte : bytes) byte = static_cast<int8_t>(random());
      const TensorView memory = io::tensor_of<int8_t>({std::ssize(bytes)}, bytes);
      part.bytes = memory.bytes;
      part.owner = memory.owner;
      try {
        io::Checkpoint checkpoint = io::Checkpoint::of(kPacked / test.folder, std::move(tensors));
        PackedWeights packed;
        packed.add(checkpoint);
        for (const std::string& name : checkpoint.names()) {
          const PackedWeight* const weight = packed.find(checkpoint.at(name));
          if (weight) {
            EXPECT_EQ(widened(*weight).sizes(), weight->shape);
          }
        }
        ++taken;
      } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::bad_file) << error.what();
        ++refused;
      }
    }
  }
  EXPECT_GT(taken, 20);
  EXPECT_GT(refused, 100);
}

TEST(Packed, APartThatIsMissingIsNamed) {
  for (const auto& [fixture, part] : {std::pair{"compressed_int4_zeros", "a.weight_shape"},
                                      {"compressed_int4_zeros", "a.weight_scale"},
                                      {"gptq_int4_group64", "a.qzeros"},
                                      {"awq_group128", "a.scales"}}) {
    TempFolder temp;
    fs::copy(kPacked / fixture, temp.path, fs::copy_options::recursive);
    edit_tensors(temp.path / "model.safetensors", [&](auto& tensors) { tensors.erase(part); });
    const std::string why = refusal([&] { Opened opened(temp.path); });
    EXPECT_NE(why.find(std::string("the tensor \"") + part + "\" is missing"), std::string::npos) << why;
  }
}

TEST(Packed, AWeightThatIsThereTwiceIsRefused) {
  TempFolder temp;
  make_model("llava_awq", temp.path / "model");
  const std::string name = "language_model.model.layers.0.self_attn.q_proj.weight";
  edit_tensors(temp.path / "model/model.safetensors", [&](auto& tensors) {
    tensors[name] = io::tensor_of<float>({32, 32}, std::vector<float>(1024));
  });
  const std::string why = refusal([&] { open_model(temp.path / "model"); });
  EXPECT_NE(why.find("q_proj.weight twice, plain and as codes"), std::string::npos) << why;
}

/// Early writers of GPTQ left their settings in a file of their own.
TEST(Packed, SettingsOfGptqMayBeInTheirOwnFile) {
  TempFolder temp;
  make_model("llava_gptq", temp.path / "model");
  edit_json(temp.path / "model/config.json", [&](Json& json) {
    Json settings = json["quantization_config"];
    settings.erase("quant_method");
    write_text(temp.path / "model/quantize_config.json", settings.dump());
    json.erase("quantization_config");
  });
  EXPECT_STREQ(query_of(*open_model(temp.path / "model")).storage(), "int4");
}

}  // namespace
}  // namespace lithe::models
