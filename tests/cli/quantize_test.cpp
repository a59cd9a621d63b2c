#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/json.h"
#include "cli/program.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

/// The demo model as `weights`, quantised once.
fs::path quantised(const std::string& weights) {
  const fs::path folder = scratch() / ("demo-" + weights);
  if (fs::exists(folder)) return folder;
  const Ran ran = lithe({"quantize", "demo", "--weights", weights, "-o", folder.string()});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("wrote    " + folder.string()), std::string::npos) << ran.out;
  return folder;
}

io::SafetensorsFile traced(const std::string& model, const std::string& weights) {
  const fs::path out = scratch() / "trace.safetensors";
  const Ran ran = lithe({"trace", model, "--weights", weights, "--image", kPicture, "--prompt", "what is there?",
                         "--max-tokens", "4", "--ignore-eos", "-o", out.string()});
  EXPECT_EQ(ran.code, 0) << ran.err;
  return io::open_safetensors(out);
}

TEST(Quantize, TheFolderAnswersAsItsSourceWithWeights) {
  for (const std::string weights : {"int8", "int4", "bf16"}) {
    SCOPED_TRACE(weights);
    const io::SafetensorsFile folder = traced(quantised(weights).string(), "auto"),
                              source = traced("demo", weights == "bf16" ? "bfloat16" : weights);
    ASSERT_EQ(folder.tensors.size(), source.tensors.size());
    for (const auto& [name, tensor] : source.tensors)
      EXPECT_TRUE(std::ranges::equal(tensor.bytes, folder.tensors.at(name).bytes)) << name;
  }
}

TEST(Quantize, EveryCommandTakesTheFolder) {
  const std::string folder = quantised("int4").string();
  const Ran run = lithe({"run", folder, "--image", kPicture, "what is the color of the rectangle?"});
  EXPECT_EQ(run.out, "Blue.\n") << run.err;
  const Ran inspect = lithe({"inspect", folder, "--json"});
  EXPECT_EQ(parse_json(inspect.out, "inspect").at("weight_type"), "int4") << inspect.err;
  const Ran fold = lithe({"fold", folder, "--weights", "float32", "-o", (scratch() / "folded-codes").string()});
  EXPECT_EQ(fold.code, 2);
  EXPECT_NE(fold.err.find("its weights are stored as codes"), std::string::npos) << fold.err;
  const Ran again = lithe({"quantize", folder, "--weights", "int8", "-o", (scratch() / "again").string()});
  EXPECT_EQ(again.code, 2);
  EXPECT_NE(again.err.find("its weights are codes already"), std::string::npos) << again.err;
}

TEST(Quantize, RoundsForData) {
  const fs::path data = scratch() / "calibrate.jsonl", out = scratch() / "calibrated";
  fs::copy_file(kPicture, scratch() / "calibrate.png", fs::copy_options::overwrite_existing);
  std::ofstream(data) << R"({"image": "calibrate.png", "conversations": [{"from": "human", "value": )"
                      << R"("<image>\nwhat is the color of the rectangle?"}, {"from": "gpt", "value": "blue"}]})"
                      << "\n";
  const Ran ran =
      lithe({"quantize", "demo", "--weights", "int4", "--calibrate", data.string(), "-o", out.string(), "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json calibration = parse_json(ran.out, "quantize").at("calibration");
  EXPECT_EQ(calibration.at("records"), 1);
  EXPECT_GT(calibration.at("tokens"), 64);
  EXPECT_EQ(lithe({"run", out.string(), "--image", kPicture, "what is the color of the rectangle?"}).out, "Blue.\n");
  const Ran mme = lithe({"quantize", "demo", "--weights", "int4", "--calibrate", LITHE_TEST_DATA "/benchmarks/mme",
                         "--task", "mme", "--samples", "2", "-o", (scratch() / "for-mme").string()});
  EXPECT_EQ(mme.code, 0) << mme.err;
  EXPECT_NE(mme.out.find("for 2 records"), std::string::npos) << mme.out;
  const Ran lost = lithe({"quantize", "demo", "--weights", "int4", "--calibrate", "no-such.json", "-o",
                          (scratch() / "not-written").string()});
  EXPECT_EQ(lost.code, 3);
  EXPECT_NE(lost.err.find("no-such.json"), std::string::npos) << lost.err;
  EXPECT_FALSE(fs::exists(scratch() / "not-written"));
}

TEST(Quantize, RefusesFlagsThatMeanNothing) {
  const std::string out = (scratch() / "refused").string();
  for (const auto& [flags, why] : {std::pair<std::vector<std::string>, std::string>{{}, "quantize needs --weights"},
                                   {{"--weights", "int2"}, "--weights is \"int2\"; give bf16, int8 or int4"},
                                   {{"--weights", "auto"}, "give bf16, int8 or int4"},
                                   {{"--weights", "int8", "--lora", "x"}, "`lithe fold` first"},
                                   {{"--weights", "int8", "--calibrate", "x"}, "--calibrate is for --weights int4"},
                                   {{"--weights", "int4", "--samples", "3"}, "records of --calibrate DATA; give both"},
                                   {{"--weights", "int4", "--task", "mme"}, "benchmark of --calibrate DATA; give both"},
                                   {{"--weights", "int8", "--device", "cuda"}, "leave out --device"}}) {
    std::vector<std::string> arguments{"quantize", "demo", "-o", out};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Ran ran = lithe(arguments);
    EXPECT_EQ(ran.code, 2);
    EXPECT_NE(ran.err.find(why), std::string::npos) << ran.err;
    EXPECT_FALSE(fs::exists(out));
  }
}

}  // namespace
}  // namespace lithe::cli
