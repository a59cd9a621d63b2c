// Models in the format of llama.cpp: what tools/make_gguf_fixtures.py wrote with the package gguf, against that
// package's own numbers and against the folders that the models came from.
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>

#include <random>

#include "base/file.h"
#include "checkpoints/read/catalogue.h"
#include "checkpoints/read/gguf/codes.h"
#include "checkpoints/write/converting.h"
#include "io/gguf.h"
#include "models/peft_folder.h"
#include "ops/low_bit.h"
#include "ops/product.h"
#include "ops/tensor_support.h"
#include "ops/weight_kernels.h"
#include "support.h"

namespace lithe::models {
namespace {

const fs::path kGguf = fs::path(LITHE_TEST_DATA) / "gguf";
const fs::path kLlava = kGguf / "llava15/llava15-F16.gguf";

/// The numbers that a tensor stands for, as the engine holds it.
Tensor widened(const io::GgufTensor& tensor) {
  if (has_codes(tensor.type)) return ops::widened(codes_of(tensor));
  const auto type = io::dtype_named(io::name_of(tensor.type));
  return tensor_over({*type, tensor.shape, tensor.bytes.span, tensor.bytes.owner, "types"}).to(at::kFloat);
}

TEST(GgufCodes, StandForTheNumbersThatThePackageGives) {
  const io::GgufFile file = io::GgufFile::open(kGguf / "types.gguf");
  const io::SafetensorsFile expected = io::open_safetensors(kGguf / "types.safetensors");
  ASSERT_EQ(file.tensors().size(), 11u);
  for (const auto& [name, tensor] : file.tensors()) {
    SCOPED_TRACE(name);
    const Tensor actual = widened(tensor), numbers = tensor_over(expected.tensors.at(name));
    ASSERT_EQ(actual.sizes(), numbers.sizes());
    const bool has_offsets = name == "Q4_1" || name == "Q5_1" || name == "Q4_K" || name == "Q5_K";
    if (!has_offsets) {
      EXPECT_TRUE(at::equal(actual, numbers));
      continue;
    }
    // scale * code + offset is rounded once here, and twice there.
    const double step = 1.2e-7 * numbers.abs().max().item<double>();
    EXPECT_LE((actual - numbers).abs().max().item<double>(), step);
  }
}

TEST(GgufCodes, TheirProductsAreThoseOfTheNumbers) {
  const io::GgufFile file = io::GgufFile::open(kGguf / "types.gguf");
  test::Dice dice(5);
  for (const auto& [name, tensor] : file.tensors()) {
    if (!has_codes(tensor.type)) continue;
    const ops::LowBit codes = codes_of(tensor);
    for (const int64_t rows : {1, 3, 8, 40}) {
      SCOPED_TRACE(concat(name, ", ", rows, " rows"));
      const Tensor x = dice.normal({rows, codes.width}).to(at::kFloat);
      const Tensor exact = x.to(at::kDouble).matmul(ops::widened(codes).to(at::kDouble).t());
      // More rows than that may be rounded to 16 bits.
      const double most = (rows > ops::kMostDotRowsOfCodes ? 1e-4 : 2e-6) * exact.abs().max().item<double>();
      EXPECT_TRUE(close(ops::low_bit_linear(x, codes, std::nullopt), exact, most, 0));
    }
  }
}

TEST(GgufCodes, RowsOfAHeadComeInTheOrderOfTheModel) {
  const Interleaved order{8};
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < 16; ++row) rows.push_back(order.in_file(row));
  EXPECT_EQ(rows, (std::vector<int64_t>{0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15}));
}

Tensor logits_of(const Model& model, const std::vector<int64_t>& ids) {
  const std::vector<routing::RowKind> kinds(ids.size(), routing::RowKind::text);
  return prefill(model, model.decoder.embed(at::tensor(ids, at::kLong)), kinds).logits;
}

/// Ids for so few rows that codes are multiplied in float32.
std::vector<int64_t> some_ids(int64_t vocab) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < ops::kMostDotRowsOfCodes; ++i) ids.push_back(3 + i * 37 % (vocab - 3));
  return ids;
}

std::unique_ptr<Model> original(const std::string& golden) {
  return open_model(golden_folder(golden) / "checkpoint", {.weights = WeightStorage::float16});
}

TEST(GgufModel, GivesTheLogitsOfTheFolderThatItCameFrom) {
  const auto model = open_model(kLlava), folder = original("liuhaotian_llava15");
  EXPECT_EQ(model->gguf_files, (std::vector<fs::path>{kLlava, kGguf / "llava15/mmproj-llava15-F16.gguf"}));
  EXPECT_EQ(model->name, "llava15-F16");
  const auto ids = some_ids(model->decoder.config.vocab);
  EXPECT_TRUE(close(logits_of(*model, ids), logits_of(*folder, ids), 1e-5, 1e-5));
  EXPECT_EQ(main_storage(*model), "float16");
}

TEST(GgufModel, SeesAsTheModelThatItCameFrom) {
  const Golden golden("liuhaotian_llava15");
  const auto model = open_model(kLlava), folder = original("liuhaotian_llava15");
  for (const char* const picture : {"img0.rgb", "img1.rgb"}) {
    const ImageRows seen = model->encode_image(golden.picture(picture)),
                    expected = folder->encode_image(golden.picture(picture));
    EXPECT_TRUE(close(seen.pixels, expected.pixels, 1e-6, 1e-6));
    // Positions are float16 in the mmproj, float32 in the folder.
    EXPECT_TRUE(close(seen.rows, expected.rows, 1e-2, 1e-2));
  }
}

TEST(GgufModel, ReadsTheGoldenPromptsAndAnswersThem) {
  const Golden golden("liuhaotian_llava15");
  const auto model = open_model(kLlava);
  const std::string prompt = contents(golden.folder / "inputs/prompt0.txt");
  EXPECT_EQ(model->prompting.tokenizer->encode_with_images(prompt, model->prompting.dialect),
            golden.integers("s0.input_ids"));
  const std::vector<int64_t> mask = golden.integers("s0.mod_target_mask");
  std::vector<routing::RowKind> kinds;
  for (const int64_t vision : mask) kinds.push_back(vision ? routing::RowKind::vision : routing::RowKind::text);
  const Prefill seen = prefill(*model, golden.floats("s0.inputs_embeds"), kinds);
  const Tensor expected = golden.floats("s0.logits_tail");
  EXPECT_TRUE(close(seen.logits.narrow(0, seen.logits.size(0) - expected.size(0), expected.size(0)), expected, 1e-2,
                    1e-2));  // the table's tolerance for float16
}

TEST(GgufModel, CodesGiveTheLogitsOfTheNumbersThatTheyStandFor) {
  const fs::path file = kGguf / "quantised.gguf";
  const auto codes = open_model(file), numbers = open_model(file, {.weights = WeightStorage::float32});
  EXPECT_FALSE(codes->vision);
  EXPECT_EQ(codes->decoder.embeddings.storage(), std::string("int8"));
  EXPECT_EQ(numbers->decoder.embeddings.storage(), std::string("float32"));
  EXPECT_LT(codes->loaded.bytes, numbers->loaded.bytes / 2);
  const auto ids = some_ids(codes->decoder.config.vocab);
  EXPECT_TRUE(close(logits_of(*codes, ids), logits_of(*numbers, ids), 1e-5, 1e-5));
  // Codes stay what they are if codes are asked for.
  const auto again = open_model(file, {.weights = WeightStorage::int4});
  EXPECT_TRUE(at::equal(again->decoder.embeddings.widened(at::kFloat), codes->decoder.embeddings.widened(at::kFloat)));
}

TEST(GgufModel, CodesAreThoseOfTheRowsOfTheModel) {
  const auto model = open_model(kGguf / "quantised.gguf", {.weights = WeightStorage::float32}),
             folder = open_model(golden_folder("liuhaotian_llava15") / "checkpoint");
  std::map<WeightName, nn::Weight> numbers;
  visit(*folder, [&](const HeldWeight& held) { numbers[held.name] = held.weight; });
  int64_t compared = 0;
  visit(*model, [&](const HeldWeight& held) {
    const Tensor exact = numbers.at(held.name).widened(at::kFloat), actual = held.weight.widened(at::kFloat);
    // Four bits: no number is further from its code than half a step of 1 / 8 of the largest.
    EXPECT_LE((actual - exact).abs().max().item<double>(), exact.abs().max().item<double>() / 7) << text_of(held.name);
    ++compared;
  });
  EXPECT_GT(compared, 30);
}

/// Texts that tokenizers treat in ways of their own.
const std::vector<std::string> kTexts{"",
                                      " ",
                                      "  ",
                                      "a",
                                      " a",
                                      "a ",
                                      "\n",
                                      " \n\n  x",
                                      "Hello, world!",
                                      "  two  spaces  inside ",
                                      "don't WE'LL I'm",
                                      "12345 6,789.0",
                                      "na\xC3\xAFve caf\xC3\xA9",
                                      "\xE6\x9D\xB1\xE4\xBA\xAC \xF0\x9F\x99\x82\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD",
                                      "<s>[INST] x </s> y",
                                      "</s></s>",
                                      "<unk> <pad>",
                                      "<|im_start|>user\nq<|im_end|>\n",
                                      "\xE2\x96\x81 mark \xE2\x96\x81",
                                      "tab\there\r\nand\x01there",
                                      "e\xCC\x81 decomposed",
                                      "<image>",
                                      "The quick brown fox jumps over the lazy dog."};

void expect_same_tokens(const text::Tokenizer& actual, const text::Tokenizer& expected) {
  for (const std::string& text : kTexts) {
    for (const bool special : {false, true}) {
      const auto ids = expected.encode(text, special);
      EXPECT_EQ(actual.encode(text, special), ids) << '"' << text << '"';
      EXPECT_EQ(actual.decode(ids, !special), expected.decode(ids, !special)) << '"' << text << '"';
    }
    const std::string prompt = text + "<image>\n" + text;
    EXPECT_EQ(actual.encode_with_images(prompt, text::Dialect::hf),
              expected.encode_with_images(prompt, text::Dialect::hf));
  }
  EXPECT_EQ(actual.eos(), expected.eos());
}

TEST(GgufTokenizer, OfLlamaIsTheSentencepieceModelThatItCameFrom) {
  // As in llama.cpp, text after a special token gets a space of its own, which transformers calls "legacy".
  const TempFolder temp;
  fs::copy(golden_folder("liuhaotian_llava15") / "checkpoint", temp.path / "original");
  edit_json(temp.path / "original/tokenizer_config.json", [](Json& json) { json["legacy"] = true; });
  const auto model = open_model(kLlava);
  expect_same_tokens(*model->prompting.tokenizer,
                     text::Tokenizer::open(temp.path / "original", text::Dialect::original));
}

TEST(GgufTokenizer, OfQwen2IsTheTokenizerJsonThatItCameFrom) {
  const auto model = open_model(kGguf / "qwen2");
  expect_same_tokens(*model->prompting.tokenizer,
                     text::Tokenizer::open(golden_folder("llava_onevision") / "checkpoint"));
}

TEST(GgufModel, TakesLoraOverCodes) {
  const TempFolder temp;
  test::PeftFolder adapter;
  adapter.add_layer("model.layers.1.", 32, 88);
  adapter.write(temp.path);
  const fs::path file = kGguf / "quantised.gguf";
  const auto codes = open_model(file, {.lora = temp.path}),
             numbers = open_model(file, {.lora = temp.path, .weights = WeightStorage::float32}),
             bare = open_model(file);
  EXPECT_EQ(codes->loaded.lora->products, 7);
  const auto ids = some_ids(codes->decoder.config.vocab);
  EXPECT_TRUE(close(logits_of(*codes, ids), logits_of(*numbers, ids), 1e-5, 1e-5));
  EXPECT_FALSE(close(logits_of(*codes, ids), logits_of(*bare, ids), 1e-2, 1e-2));
}

TEST(GgufModel, ReadsQwen2WithSiglip) {
  const auto model = open_model(kGguf / "qwen2"), folder = original("llava_onevision");
  const auto ids = some_ids(model->decoder.config.vocab);
  EXPECT_TRUE(close(logits_of(*model, ids), logits_of(*folder, ids), 1e-5, 1e-5));
  EXPECT_EQ(model->prompting.eos_ids, folder->prompting.eos_ids);
  ASSERT_TRUE(model->prompting.chat_template);
  const std::vector<text::Message> question{{"user", {{text::Part::Kind::image, ""}, {text::Part::Kind::text, "Q?"}}}};
  EXPECT_EQ(model->prompting.render(question), folder->prompting.render(question));
  const int64_t side = model->vision->tower.config.image.width;
  test::Dice dice(3);
  const Tensor pixels = dice.normal({2, 3, side, side}).to(at::kFloat);
  EXPECT_TRUE(close(model->vision->tower.features(pixels), folder->vision->tower.features(pixels), 1e-2, 1e-2));
  EXPECT_EQ(model->vision->packing.max_patches, folder->vision->packing.max_patches);
  EXPECT_EQ(model->vision->preprocess.pinpoints.size(), folder->vision->preprocess.pinpoints.size());
}

class GgufFolder : public ::testing::Test {
 protected:
  void copy(const fs::path& from, const std::string& to) const { fs::copy_file(from, temp_.path / to); }
  std::string refused(const fs::path& what, const LoadOptions& options = {}) const {
    return refusal([&] { open_model(temp_.path / what, options); });
  }
  /// A copy with some bytes of it replaced where they first stand.
  void change(const std::string& name, const std::string& from, const std::string& to) const {
    std::string bytes = contents(temp_.path / name);
    const size_t at = bytes.find(from);
    ASSERT_NE(at, bytes.npos);
    std::ofstream(temp_.path / name, std::ios::binary) << bytes.replace(at, from.size(), to);
  }

  const fs::path mmproj_ = kGguf / "llava15/mmproj-llava15-F16.gguf";
  TempFolder temp_;
};

void expect_part(const std::string& sentence, const std::string& part) {
  EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
}

TEST_F(GgufFolder, AFolderIsItsOneTextModelAndItsOneMmproj) {
  copy(kLlava, "text.gguf");
  EXPECT_FALSE(open_model(temp_.path)->vision);
  copy(mmproj_, "tower.gguf");  // known by what it says that it holds
  EXPECT_TRUE(open_model(temp_.path)->vision);
  EXPECT_TRUE(open_model(temp_.path / "text.gguf")->vision);
  copy(mmproj_, "mmproj-2.gguf");
  expect_part(refused(""), "holds several mmproj files (mmproj-2.gguf, tower.gguf); say with --mmproj");
  EXPECT_TRUE(open_model(temp_.path, {.mmproj = temp_.path / "tower.gguf"})->vision);
  copy(kGguf / "quantised.gguf", "other.gguf");
  expect_part(refused(""), "holds several GGUF text models (other.gguf, text.gguf); give the file");
  EXPECT_TRUE(open_model(temp_.path / "other.gguf", {.mmproj = mmproj_})->vision);
  EXPECT_EQ(open_model(temp_.path / "other.gguf", {.mmproj = mmproj_})->gguf_files.size(), 2u);
}

TEST_F(GgufFolder, WhatDoesNotFitIsSaid) {
  copy(mmproj_, "mmproj.gguf");
  expect_part(refused(""), "holds no GGUF text model, only mmproj.gguf");
  expect_part(refused("mmproj.gguf"), "is an mmproj, which holds a vision tower and a projector alone");
  copy(kLlava, "text.gguf");
  expect_part(refused("text.gguf", {.mmproj = kLlava}), "is not an mmproj, its architecture is \"llama\"");
  expect_part(refused("text.gguf", {.mmproj = temp_.path / "none.gguf"}), "is not a GGUF file");
  change("mmproj.gguf", "mlp", "ldp");
  expect_part(refused("text.gguf"), "the projector \"ldp\" is not supported; supported is mlp");
  change("text.gguf", "llama", "gemma");
  expect_part(refused("text.gguf"), "the architecture \"gemma\" is not supported; supported are llama");
  expect_part(refusal([&] { open_model(golden_folder("hf_llava15") / "checkpoint", {.mmproj = mmproj_}); }),
              "is not a GGUF model, and an mmproj belongs to one");
}

TEST_F(GgufFolder, ATypeThatIsNotReadIsNamed) {
  copy(kGguf / "quantised.gguf", "model.gguf");
  // The number of dimensions, two of them, and the type: Q4_0 becomes IQ4_NL, whose blocks have the same size.
  const std::string side("\40\0\0\0\0\0\0\0", 8),
      before = "blk.0.attn_q.weight" + std::string("\2\0\0\0", 4) + side + side;
  change("model.gguf", before + "\2", before + "\24");
  expect_part(refused(""), "the tensor \"blk.0.attn_q.weight\" is IQ4_NL, and F32, F16, BF16, Q8_0");
}

TEST_F(GgufFolder, WhatIsBesideTheFileCountsIfTheMetadataSaysNothing) {
  copy(kLlava, "model.gguf");
  expect_part(open_model(temp_.path)->notes.at(0), "so vicuna_v1 is assumed");
  write_text(temp_.path / "chat_template.jinja", "{{ messages[0]['content'] }}");
  const auto with_template = open_model(temp_.path);
  EXPECT_TRUE(with_template->notes.empty());
  EXPECT_TRUE(with_template->prompting.chat_template);
  fs::remove(temp_.path / "chat_template.jinja");
  fs::rename(temp_.path / "model.gguf", temp_.path / "llava-v1.6-mistral-7b.gguf");
  EXPECT_EQ(open_model(temp_.path)->prompting.conversation, "mistral_instruct");
}

// Anything but an Error that leaves open_model ends the test.
TEST_F(GgufFolder, DamagedMetadataGivesAnErrorOrAModel) {
  constexpr int kDamaged = 300, kMostChanges = 3;
  std::mt19937 random(2026);
  int opened = 0, refusals = 0;
  for (const fs::path& file : {kGguf / "quantised.gguf", kGguf / "qwen2/qwen2-F16.gguf"}) {
    const std::string whole = contents(file);
    const size_t head = whole.rfind("output_norm.weight") + 64;  // about where names and places end
    for (int i = 0; i < kDamaged; ++i) {
      std::string bytes = whole;
      for (int change = 0; change <= i % kMostChanges; ++change) bytes[random() % head] = static_cast<char>(random());
      std::ofstream(temp_.path / "model.gguf", std::ios::binary) << bytes;
      try {
        const auto model = open_model(temp_.path / "model.gguf");
        if (model->prompting.tokenizer) model->prompting.tokenizer->encode("A na\xC3\xAFve <s> text.", true);
        ++opened;
      } catch (const Error&) {
        ++refusals;
      }
    }
  }
  EXPECT_GT(opened, 0);
  EXPECT_GT(refusals, 0);
}

TEST_F(GgufFolder, IsReadAndNotWritten) {
  expect_part(refusal([&] { convert_folder(kLlava, temp_.path / "out", TargetLayout::hf); }),
              "is a GGUF model, which is read but not written; convert the model that it was converted from");
}

}  // namespace
}  // namespace lithe::models
