#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "cli/program.h"
#include "io/checkpoint.h"

namespace lithe {
namespace {

namespace fs = std::filesystem;
using cli::Ran;
using cli::scratch;

const fs::path kGolden = LITHE_TEST_DATA "/golden/liuhaotian_llava15";
const std::string kPicture = LITHE_SOURCE_DIR "/models/images/901.png";

void expect_equal_weights(const fs::path& a, const fs::path& b) {
  const io::Checkpoint left = io::Checkpoint::open(a), right = io::Checkpoint::open(b);
  ASSERT_EQ(left.names(), right.names());
  ASSERT_FALSE(left.names().empty());
  for (const std::string& name : left.names()) {
    const io::TensorView &x = left.at(name), &y = right.at(name);
    EXPECT_EQ(x.dtype, y.dtype) << name;
    EXPECT_EQ(x.shape, y.shape) << name;
    EXPECT_TRUE(std::ranges::equal(x.bytes, y.bytes)) << name;
  }
}

TEST(Convert, ShardedBinBecomesSafetensors) {
  const fs::path from = kGolden / "checkpoint_bin_sharded", to = scratch() / "from_bin";
  const Ran ran = cli::lithe({"convert", from.string(), "--to", "same", "-o", to.string()});
  ASSERT_EQ(ran.code, 0) << ran.err;
  expect_equal_weights(from, to);
  EXPECT_EQ(cli::contents(to / "config.json"), cli::contents(from / "config.json"));
  EXPECT_FALSE(fs::exists(to / "pytorch_model.bin.index.json"));
  for (const auto& entry : fs::directory_iterator(to)) EXPECT_NE(entry.path().extension(), ".bin");
}

TEST(Convert, AResavedModelAnswersAsItsSource) {
  const fs::path to = scratch() / "demo";
  ASSERT_EQ(cli::lithe({"convert", "demo", "--to", "same", "-o", to.string() + "/"}).code, 0);
  expect_equal_weights(LITHE_SOURCE_DIR "/models/easyvqa-pmod", to);
  expect_equal_weights(LITHE_SOURCE_DIR "/models/easyvqa-pmod/vision_tower", to / "vision_tower");
  const Ran ran = cli::lithe({"run", to.string(), "--image", kPicture, "what is the color of the rectangle?"});
  EXPECT_EQ(ran.out, "Blue.\n") << ran.err;
}

TEST(Convert, ThereAndBackAnswersAsItsSource) {
  const fs::path hf = scratch() / "hf", back = scratch() / "back";
  const Ran there = cli::lithe({"convert", "demo", "-o", hf.string()});
  ASSERT_EQ(there.code, 0) << there.err;
  EXPECT_NE(there.err.find("note: transformers does not know routers"), std::string::npos);
  EXPECT_NE(there.out.find("wrote " + hf.string()), std::string::npos);
  for (const char* file : {"model.safetensors", "config.json", "plan.json", "chat_template.jinja",
                           "preprocessor_config.json", "processor_config.json", "tokenizer.model"})
    EXPECT_TRUE(fs::exists(hf / file)) << file;
  EXPECT_FALSE(fs::exists(hf / "vision_tower"));
  const Ran json = cli::lithe({"convert", hf.string(), "--to", "original", "-o", back.string(), "--json"});
  ASSERT_EQ(json.code, 0) << json.err;
  EXPECT_NE(json.out.find("\"notes\": []"), std::string::npos) << json.out;
  expect_equal_weights(LITHE_SOURCE_DIR "/models/easyvqa-pmod", back);
  for (const fs::path& model : {hf, back}) {
    const Ran ran = cli::lithe({"run", model.string(), "--image", kPicture, "what is the color of the rectangle?"});
    EXPECT_EQ(ran.out, "Blue.\n") << ran.err;
  }
}

TEST(Convert, KeepsTheConversationThatAFolderNameGave) {
  const fs::path from = scratch() / "llava-v1-named", to = scratch() / "renamed";
  fs::create_directories(from);
  for (const auto& entry : fs::directory_iterator(kGolden / "checkpoint"))
    fs::copy_file(entry.path(), from / entry.path().filename());
  ASSERT_EQ(cli::lithe({"convert", from.string(), "--to", "same", "-o", to.string()}).code, 0);
  EXPECT_NE(cli::contents(to / "config.json").find("\"conversation\": \"llava_v1\""), std::string::npos);
}

TEST(Convert, RefusesWithoutLeavingAnything) {
  const fs::path broken = scratch() / "broken", out = scratch() / "refused" / "out";
  fs::create_directories(broken);
  std::ofstream(broken / "config.json") << "{}";
  std::ofstream(broken / "pytorch_model.bin") << "no weights";
  EXPECT_EQ(cli::lithe({"convert", broken.string(), "-o", out.string()}).code, 3);
  EXPECT_EQ(cli::lithe({"convert", broken.string(), "--to", "same", "-o", out.string()}).code, 3);
  EXPECT_EQ(cli::lithe({"convert", "/nowhere", "-o", out.string()}).code, 3);
  EXPECT_EQ(cli::lithe({"convert", "demo", "--to", "onnx", "-o", out.string()}).code, 2);
  EXPECT_TRUE(!fs::exists(out.parent_path()) || fs::is_empty(out.parent_path()));
  EXPECT_EQ(cli::lithe({"convert", "demo", "-o", broken.string()}).code, 2);
  const Ran inside = cli::lithe({"convert", broken.string(), "-o", (broken / "inside").string()});
  EXPECT_EQ(inside.code, 2);
  EXPECT_NE(inside.err.find("inside"), std::string::npos);
  EXPECT_EQ(cli::contents(broken / "pytorch_model.bin"), "no weights");
}

}  // namespace
}  // namespace lithe
