#include <gtest/gtest.h>

#include "base/json.h"
#include "cli/program.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

const std::string kModel = LITHE_TEST_DATA "/golden/llava_eas/checkpoint";
const std::string kPicture = LITHE_TEST_DATA "/golden/llava_eas/inputs/image0.png";

/// A folder that is not there yet.
fs::path fresh(const std::string& name) {
  fs::remove_all(scratch() / name);
  return scratch() / name;
}

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

/// Relative to the largest logit.
double deviation(const io::SafetensorsFile& a, const io::SafetensorsFile& b, const std::string& name) {
  const auto left = a.tensors.at(name).values<float>(), right = b.tensors.at(name).values<float>();
  EXPECT_EQ(left.size(), right.size());
  double worst = 0, largest = 0;
  for (size_t i = 0; i < left.size(); ++i) {
    worst = std::max<double>(worst, std::abs(left[i] - right[i]));
    largest = std::max<double>(largest, std::abs(left[i]));
  }
  return worst / largest;
}

TEST(Fold, EveryPromptGivesTheSame) {
  const fs::path out = fresh("folded");
  const Ran ran = lithe({"fold", kModel, "-o", out.string(), "--image", kPicture, "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json report = parse_json(ran.out, "fold");
  EXPECT_EQ(report.at("folded").at("gains"), 3);
  EXPECT_LT(report.at("largest_deviation").get<double>(), 1e-5 * report.at("largest_logit").get<double>());
  EXPECT_EQ(report.at("tokens_equal"), report.at("tokens_compared"));
  EXPECT_EQ(read_json_file(out / "config.json").at("fixed_sites").size(), 3U);
  EXPECT_FALSE(io::Checkpoint::open(out).contains("model.layers.2.post_attention_layernorm.weight"));
  for (const std::string& picture : {std::string(), kPicture}) {
    const auto whole = traced(kModel, picture, "Is this a lake?"),
               folded = traced(out.string(), picture, "Is this a lake?");
    EXPECT_LT(deviation(whole, folded, "logits"), 1e-5);
    EXPECT_LT(deviation(whole, folded, "step_logits"), 1e-5);
    EXPECT_EQ(integers(whole, "tokens"), integers(folded, "tokens"));
    const std::vector<int64_t> held = integers(folded, "kv_lengths.end");
    EXPECT_EQ((std::vector<int64_t>{held[2], held[4], held[5]}), (std::vector<int64_t>{0, 0, 0}));
    EXPECT_GT(held[0], 0);
  }
}

TEST(Fold, AFrozenFoldLeavesNoAdapter) {
  const fs::path out = fresh("frozen");
  const Ran ran = lithe(
      {"fold", kModel, "--freeze", "--image", kPicture, "--prompt", "Is this a lake?", "-o", out.string(), "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json report = parse_json(ran.out, "fold");
  EXPECT_EQ(report.at("folded").at("adapters"), 6);
  EXPECT_EQ(report.at("adapters_left"), 0);
  EXPECT_LT(report.at("largest_deviation").get<double>(), 1e-5 * report.at("largest_logit").get<double>());
  for (const std::string& name : io::Checkpoint::open(out).names())
    EXPECT_EQ(name.find("adapter"), std::string::npos) << name;
  const auto whole = traced(kModel, kPicture, "Is this a lake?"),
             folded = traced(out.string(), kPicture, "Is this a lake?");
  EXPECT_LT(deviation(whole, folded, "step_logits"), 1e-5);
  EXPECT_EQ(integers(whole, "tokens"), integers(folded, "tokens"));
}

TEST(Fold, RefusesWhatCannotBeFolded) {
  const fs::path there = fresh("there");
  fs::create_directories(there / "something");
  const Ran taken = lithe({"fold", kModel, "--image", kPicture, "-o", there.string()});
  EXPECT_EQ(taken.code, 2);
  EXPECT_NE(taken.err.find("is there already"), std::string::npos) << taken.err;
  const fs::path out = fresh("nothing");
  const Ran plain = lithe({"fold", "demo", "-o", out.string()});
  EXPECT_EQ(plain.code, 2);
  EXPECT_NE(plain.err.find("nothing to fold"), std::string::npos) << plain.err;
  EXPECT_FALSE(fs::exists(out));
}

TEST(Fold, APlanMustLeaveFixedSitesOff) {
  const Ran ran = lithe({"run", kModel, "--plan", "dense", "-n", "1", "hello"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("decoder layer 2"), std::string::npos) << ran.err;
}

TEST(Fold, InspectPrintsWhatAdaptersCost) {
  const Ran ran = lithe({"inspect", kModel});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("of the feed-forward networks behind"), std::string::npos) << ran.out;
}

}  // namespace
}  // namespace lithe::cli
