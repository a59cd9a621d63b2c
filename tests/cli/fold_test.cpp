#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>

#include "base/json.h"
#include "cli/program.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"
#include "models/peft_folder.h"
#include "trace_deviation.h"

namespace lithe::cli {
namespace {

/// Of float32 logits; products of tiles take each factor as two terms of bfloat16 (LITHE_PRODUCT of the products
/// tests).
const double kRounding =
    std::string_view(std::getenv("LITHE_PRODUCT") ? std::getenv("LITHE_PRODUCT") : "") == "tiles" ? 16e-5 : 1e-5;

namespace fs = std::filesystem;

const std::string kEasModel = LITHE_TEST_DATA "/golden/llava_eas/checkpoint";
const std::string kLake = LITHE_TEST_DATA "/golden/llava_eas/inputs/image0.png";

std::vector<int64_t> integers(const io::SafetensorsFile& file, const std::string& name) {
  const auto values = file.tensors.at(name).values<int64_t>();
  return {values.begin(), values.end()};
}

io::SafetensorsFile traced(const std::string& model, const std::string& picture, const std::string& prompt) {
  const fs::path out = scratch() / "fold-trace.safetensors";
  std::vector<std::string> arguments{"trace", model,          "--prompt", prompt,      "--max-tokens",
                                     "12",    "--ignore-eos", "-o",       out.string()};
  if (!picture.empty()) arguments.insert(arguments.end(), {"--image", picture});
  const Ran ran = lithe(arguments);
  EXPECT_EQ(ran.code, 0) << ran.err;
  return io::open_safetensors(out);
}

TEST(Fold, EveryPromptGivesTheSame) {
  const fs::path out = fresh("folded");
  const Ran ran = lithe({"fold", kEasModel, "-o", out.string(), "--image", kLake, "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json report = parse_json(ran.out, "fold");
  EXPECT_EQ(report.at("folded").at("gains"), 3);
  EXPECT_LT(report.at("largest_deviation").get<double>(), kRounding * report.at("largest_logit").get<double>());
  EXPECT_EQ(report.at("new_tokens_equal"), report.at("new_tokens"));
  EXPECT_EQ(read_json_file(out / "config.json").at("fixed_sites").size(), 3U);
  EXPECT_FALSE(io::Checkpoint::open(out).contains("model.layers.2.post_attention_layernorm.weight"));
  for (const std::string& picture : {std::string(), kLake}) {
    const auto whole = traced(kEasModel, picture, "Is this a lake?"),
               folded = traced(out.string(), picture, "Is this a lake?");
    EXPECT_LT(test::deviation(whole, folded, "logits"), kRounding);
    EXPECT_LT(test::deviation(whole, folded, "step_logits"), kRounding);
    EXPECT_EQ(integers(whole, "tokens"), integers(folded, "tokens"));
    const std::vector<int64_t> held = integers(folded, "kv_lengths.end");
    EXPECT_EQ((std::vector<int64_t>{held[2], held[4], held[5]}), (std::vector<int64_t>{0, 0, 0}));
    EXPECT_GT(held[0], 0);
  }
}

TEST(Fold, AFrozenFoldLeavesNoAdapter) {
  const fs::path out = fresh("frozen");
  const Ran ran = lithe(
      {"fold", kEasModel, "--freeze", "--image", kLake, "--prompt", "Is this a lake?", "-o", out.string(), "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json report = parse_json(ran.out, "fold");
  EXPECT_EQ(report.at("folded").at("adapters"), 6);
  EXPECT_EQ(report.at("adapters_left"), 0);
  EXPECT_LT(report.at("largest_deviation").get<double>(), kRounding * report.at("largest_logit").get<double>());
  for (const std::string& name : io::Checkpoint::open(out).names())
    EXPECT_EQ(name.find("adapter"), std::string::npos) << name;
  const auto whole = traced(kEasModel, kLake, "Is this a lake?"),
             folded = traced(out.string(), kLake, "Is this a lake?");
  EXPECT_LT(test::deviation(whole, folded, "step_logits"), kRounding);
  EXPECT_EQ(integers(whole, "tokens"), integers(folded, "tokens"));
}

TEST(Fold, RefusesWhatCannotBeFolded) {
  const fs::path there = fresh("there");
  fs::create_directories(there / "something");
  const Ran taken = lithe({"fold", kEasModel, "--image", kLake, "-o", there.string()});
  EXPECT_EQ(taken.code, 2);
  EXPECT_NE(taken.err.find("is there already"), std::string::npos) << taken.err;
  const fs::path out = fresh("nothing");
  const Ran plain = lithe({"fold", "demo", "-o", out.string()});
  EXPECT_EQ(plain.code, 2);
  EXPECT_NE(plain.err.find("nothing to fold"), std::string::npos) << plain.err;
  EXPECT_FALSE(fs::exists(out));
}

TEST(Fold, APlanMustLeaveFixedSitesOff) {
  const Ran ran = lithe({"run", kEasModel, "--plan", "dense", "-n", "1", "hello"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("decoder layer 2"), std::string::npos) << ran.err;
}

TEST(Fold, InspectPrintsWhatAdaptersCost) {
  const Ran ran = lithe({"inspect", kEasModel});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("of their feed-forward networks (not in the total)"), std::string::npos) << ran.out;
}

/// A PEFT folder over the demo model, without a base model beside it.
fs::path demo_adapter() {
  const fs::path folder = scratch() / "demo-adapter";
  const Json config = read_json_file(LITHE_SOURCE_DIR "/models/easyvqa-pmod/config.json");
  const auto size = [&](const char* key) { return config.at(key).get<int64_t>(); };
  test::PeftFolder peft(2, 3);
  peft.add_layer("model.layers.1.", size("hidden_size"), size("intermediate_size"));
  peft.write(folder);
  return folder;
}

TEST(Fold, LoraOverAnyModel) {
  const std::string adapter = demo_adapter().string();
  const fs::path out = fresh("demo-folded");
  const Ran ran = lithe({"fold", "demo", "--lora", adapter, "-o", out.string(), "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json report = parse_json(ran.out, "fold");
  EXPECT_EQ(report.at("folded").at("lora_products"), 7);
  EXPECT_EQ(report.at("new_tokens_equal"), report.at("new_tokens"));
  const std::vector<std::string> question{"--image", LITHE_SOURCE_DIR "/models/images/901.png",
                                          "what is the color of the rectangle?"};
  const auto answer = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), question.begin(), question.end());
    const Ran asked = lithe(arguments);
    EXPECT_EQ(asked.code, 0) << asked.err;
    return asked.out;
  };
  const std::string unfolded = answer({"run", "demo", "--lora", adapter});
  EXPECT_EQ(answer({"run", out.string()}), unfolded);
  const Ran inspected = lithe({"inspect", "demo", "--lora", adapter});
  EXPECT_NE(inspected.out.find("7 products of rank 2"), std::string::npos) << inspected.out;
  EXPECT_NE(inspected.out.find("LoRA FLOPs"), std::string::npos) << inspected.out;
}

TEST(Fold, APeftFolderIsAModel) {
  const fs::path folder = fresh("peft");
  fs::create_directories(folder);
  fs::copy(LITHE_TEST_DATA "/lora/hf", folder / "adapter");
  fs::copy(LITHE_TEST_DATA "/golden/hf_llava15/checkpoint", folder / "base");
  const Ran ran = lithe({"fold", (folder / "adapter").string(), "--image", kLake, "-o", (folder / "out").string()});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("LoRA of"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("16 new tokens; 16 of the new tokens are equal"), std::string::npos) << ran.out;
  const Ran half = lithe({"fold", (folder / "adapter").string(), "--image", kLake, "--weights", "bfloat16", "-o",
                          (folder / "half").string()});
  ASSERT_EQ(half.code, 0) << half.err;
  EXPECT_NE(half.out.find("rounding   to 16 bits"), std::string::npos) << half.out;
}

TEST(Fold, RefusesLoraThatDoesNotFit) {
  const std::string adapter = demo_adapter().string();
  EXPECT_EQ(lithe({"inspect", "--shape", "llava-1.5-7b", "--lora", adapter}).code, 2);
  const Ran other = lithe({"run", kEasModel, "--lora", adapter, "hello"});
  EXPECT_EQ(other.code, 3);
  EXPECT_NE(other.err.find("misshapen"), std::string::npos) << other.err;
  const Ran none = lithe({"run", "demo", "--lora", kEasModel, "hello"});
  EXPECT_EQ(none.code, 3);
  EXPECT_NE(none.err.find("is a whole model and not a LoRA adapter"), std::string::npos) << none.err;
}

}  // namespace
}  // namespace lithe::cli
