// What the metadata of a GGUF file says of a decoder.
#include <cmath>
#include <numbers>

#include "checkpoints/read/gguf/decoder.h"
#include "models/gguf_file.h"
#include "support.h"

namespace lithe::models {
namespace {

constexpr uint32_t kHeadDim = 16;

/// A text model of two layers, as far as its shape is concerned.
test::GgufBytes text_model(const std::string& architecture = "llama") {
  test::GgufBytes bytes;
  const auto key = [&](const char* name) { return architecture + "." + name; };
  bytes.text("general.architecture", architecture)
      .whole(key("block_count"), 2)
      .whole(key("context_length"), 4096)
      .whole(key("embedding_length"), 64)
      .whole(key("feed_forward_length"), 96)
      .whole(key("attention.head_count"), 4)
      .whole(key("attention.head_count_kv"), 2)
      .real(key("attention.layer_norm_rms_epsilon"), 1e-5f)
      .real(key("rope.freq_base"), 500000)
      .tensor("token_embd.weight", {3, 64}, std::vector<float>(3 * 64));
  return bytes;
}

void expect_refused(const test::GgufBytes& bytes, const std::string& part) {
  const std::string sentence = refusal([&] { decoder_of(bytes.file()); });
  EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
}

TEST(GgufMetadata, GivesTheShapeOfTheDecoder) {
  const DecoderConfig decoder = decoder_of(text_model().file());
  EXPECT_EQ(decoder.layers, 2);
  EXPECT_EQ(decoder.hidden, 64);
  EXPECT_EQ(decoder.intermediate, 96);
  EXPECT_EQ(decoder.heads, 4);
  EXPECT_EQ(decoder.kv_heads, 2);
  EXPECT_EQ(decoder.head_dim, kHeadDim);
  EXPECT_EQ(decoder.vocab, 3);
  EXPECT_EQ(decoder.max_positions, 4096);
  EXPECT_EQ(static_cast<float>(decoder.norm_eps), 1e-5f);
  EXPECT_EQ(decoder.rope.theta, 500000);
  EXPECT_EQ(decoder.rope.scaling, ops::RopeConfig::Scaling::none);
  EXPECT_TRUE(decoder.tied_embeddings);  // no "output.weight"
  EXPECT_FALSE(decoder.attention_bias || decoder.output_bias || decoder.mlp_bias || decoder.window);
  EXPECT_TRUE(interleaves(text_model().file()));
  const DecoderConfig qwen = decoder_of(text_model("qwen2").tensor("output.weight", {1}, {0}).file());
  EXPECT_TRUE(qwen.attention_bias);
  EXPECT_FALSE(qwen.output_bias || qwen.tied_embeddings);
  EXPECT_FALSE(interleaves(text_model("qwen2").file()));
  EXPECT_EQ(decoder_of(text_model().whole("llama.attention.sliding_window", 1024).file()).window, 1024);
}

TEST(GgufMetadata, GivesLinearAndYarnScaling) {
  const auto scaled = [](const std::string& type) {
    return text_model().text("llama.rope.scaling.type", type).real("llama.rope.scaling.factor", 4);
  };
  const ops::RopeConfig linear = decoder_of(scaled("linear").file()).rope;
  EXPECT_EQ(linear.scaling, ops::RopeConfig::Scaling::linear);
  EXPECT_EQ(linear.factor, 4);
  const ops::RopeConfig yarn =
      decoder_of(scaled("yarn").whole("llama.rope.scaling.original_context_length", 1024).file()).rope;
  EXPECT_EQ(yarn.scaling, ops::RopeConfig::Scaling::yarn);
  EXPECT_EQ(yarn.original_positions, 1024);
  expect_refused(scaled("longrope"), "the rope scaling \"longrope\" is not supported");
}

/// As convert_hf_to_gguf.py writes them for Llama 3.1, by wave lengths.
std::vector<float> divisors(double theta, double factor) {
  std::vector<float> made;
  for (uint32_t i = 0; i < kHeadDim; i += 2) {
    const double length = 2 * std::numbers::pi * std::pow(theta, i / double(kHeadDim)), longest = 8192.0 / 1,
                 shortest = 8192.0 / 4, smooth = (8192 / length - 1) / (4 - 1);
    made.push_back(static_cast<float>(length < shortest  ? 1
                                      : length > longest ? factor
                                                         : 1 / ((1 - smooth) / factor + smooth)));
  }
  return made;
}

TEST(GgufMetadata, DivisorsOfFrequenciesAreTheScalingOfLlama3) {
  std::vector<float> values = divisors(500000, 8);
  EXPECT_EQ(values.front(), 1);
  EXPECT_EQ(values.back(), 8);
  const auto with = [&] { return text_model().tensor("rope_freqs.weight", {kHeadDim / 2}, values); };
  const ops::RopeConfig rope = decoder_of(with().file()).rope;
  EXPECT_EQ(rope.scaling, ops::RopeConfig::Scaling::llama3);
  EXPECT_EQ(rope.factor, 8);
  EXPECT_EQ(rope.original_positions, 8192);
  values[0] = 2;
  expect_refused(with(), "scales frequencies in another way than Llama 3.1, 3.2 and 3.3 do");
  values.assign(kHeadDim / 2, 1);
  EXPECT_EQ(decoder_of(with().file()).rope.scaling, ops::RopeConfig::Scaling::none);
  values.resize(3);
  expect_refused(text_model().tensor("rope_freqs.weight", {3}, values), "does not hold a float32 for each of the 8");
}

TEST(GgufMetadata, WhatCannotBeADecoderIsRefused) {
  expect_refused(text_model("gemma"), "the architecture \"gemma\" is not supported");
  expect_refused(text_model().whole("llama.rope.dimension_count", 8), "turn 8 of the 16 dimensions of a head");
  expect_refused(test::GgufBytes().text("general.architecture", "llama"), "has no matrix \"token_embd.weight\"");
  const auto without = [](const char* key, uint32_t value) {
    test::GgufBytes bytes;
    bytes.text("general.architecture", "llama").tensor("token_embd.weight", {3, 64}, std::vector<float>(3 * 64));
    return bytes.whole(key, value);
  };
  expect_refused(without("llama.block_count", 2), "its metadata has no \"llama.embedding_length\"");
  expect_refused(text_model().whole("llama.attention.key_length", 0xffffffff), "'head_dim' is 4294967295");
}

}  // namespace
}  // namespace lithe::models
