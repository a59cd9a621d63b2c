#include <gtest/gtest.h>
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/json.h"
#include "cli/program.h"

/// Weights that make numbers which are not finite, through every command that answers.
namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

/// A copy of the tiny model in which one number of a weight is another.
fs::path changed_model(const std::string& name, const std::string& weight, int64_t index, float value) {
  const fs::path folder = scratch() / name;
  fs::copy(LITHE_TEST_DATA "/golden/hf_llava15/checkpoint", folder,
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  const fs::path file = folder / "model.safetensors";
  std::string bytes = contents(file);
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const Json names = parse_json(bytes.substr(sizeof header, header), file.string());
  const uint64_t at = sizeof header + header + names.at(weight).at("data_offsets").at(0).get<uint64_t>();
  std::memcpy(bytes.data() + at + static_cast<uint64_t>(index) * sizeof value, &value, sizeof value);
  std::ofstream(file, std::ios::binary) << bytes;
  return folder;
}

void expect_sentence(const Ran& ran, int code, const std::string& words) {
  EXPECT_EQ(ran.code, code) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  EXPECT_NE(ran.err.find("are not finite numbers"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find(words), std::string::npos) << ran.err;
}

const std::string kHead = "language_model.lm_head.weight";
const std::string kPrompt = "USER: hi there ASSISTANT:";

TEST(NotFinite, NaNIsASentenceInEveryCommand) {
  const fs::path model = changed_model("nan", kHead, 7, std::numeric_limits<float>::quiet_NaN());
  expect_sentence(lithe({"run", model, "--raw-prompt", kPrompt}), 3, "lm_head.weight holds NaN");
  expect_sentence(lithe({"run", model, "--raw-prompt", "--json", kPrompt}), 3, "the file is damaged");
  expect_sentence(lithe({"run", model, "--raw-prompt", "--temp", "0.8", kPrompt}), 3, "the file is damaged");
  const fs::path trace = scratch() / "nan.safetensors";
  expect_sentence(lithe({"trace", model, "--raw-prompt", "--prompt", kPrompt, "-o", trace}), 3, "the file is damaged");
  EXPECT_FALSE(fs::exists(trace));
  expect_sentence(lithe({"bench", model, "--rounds", "1"}), 3, "the file is damaged");
}

TEST(NotFinite, BenchLooksAtPicturesToo) {
  const fs::path model =
      changed_model("nan-tower", "multi_modal_projector.linear_1.weight", 7, std::numeric_limits<float>::quiet_NaN());
  expect_sentence(lithe({"bench", model, "--rounds", "1"}), 3, "linear_1.weight holds NaN");
}

TEST(NotFinite, OnlyTheRequestThatItConcernsFails) {
  const fs::path tiny = LITHE_TEST_DATA "/golden/hf_llava15/checkpoint";
  const Json vocabulary = parse_json(contents(tiny / "tokenizer.json"), "tokenizer.json").at("model").at("vocab");
  constexpr int64_t kHidden = 32;
  const fs::path model =
      changed_model("nan-z", "language_model.model.embed_tokens.weight", vocabulary.at("z").get<int64_t>() * kHidden,
                    std::numeric_limits<float>::infinity());
  const fs::path in = scratch() / "in.jsonl", out = scratch() / "out.jsonl";
  std::ofstream(in) << R"({"id": "good", "prompt": "hi"})"
                    << "\n"
                    << R"({"id": "bad", "prompt": "zebra"})"
                    << "\n";
  ASSERT_EQ(lithe({"batch", model, in, "-o", out, "--raw-prompt", "-n", "4"}).code, 0);
  const std::string lines = contents(out), alone = lithe({"run", tiny, "--raw-prompt", "-n", "4", "hi"}).out;
  EXPECT_NE(lines.find(Json(alone.substr(0, alone.size() - 1)).dump()), std::string::npos) << lines;
  EXPECT_NE(
      lines.find("are not finite numbers, because the weight language_model.model.embed_tokens.weight holds infinity"),
      std::string::npos)
      << lines;
}

TEST(NotFinite, ATypeThatIsTooSmallIsNamed) {
  const fs::path model = changed_model("overflow", kHead, 7, 1e6F);
  EXPECT_EQ(lithe({"run", model, "--raw-prompt", "-n", "2", kPrompt}).code, 0);
  const Ran ran = lithe({"run", model, "--raw-prompt", "--weights", "float16", kPrompt});
  EXPECT_EQ(ran.code, 2) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_NE(ran.err.find("which float16 cannot hold; use --weights bfloat16 or float32"), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace lithe::cli
