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
  const Ran ran = cli::lithe({"convert", from.string(), "-o", to.string()});
  ASSERT_EQ(ran.code, 0) << ran.err;
  expect_equal_weights(from, to);
  EXPECT_EQ(cli::contents(to / "config.json"), cli::contents(from / "config.json"));
  EXPECT_FALSE(fs::exists(to / "pytorch_model.bin.index.json"));
  for (const auto& entry : fs::directory_iterator(to)) EXPECT_NE(entry.path().extension(), ".bin");
}

TEST(Convert, AConvertedModelAnswersAsItsSource) {
  const fs::path to = scratch() / "demo";
  ASSERT_EQ(cli::lithe({"convert", "demo", "-o", to.string() + "/"}).code, 0);
  expect_equal_weights(LITHE_SOURCE_DIR "/models/easyvqa-pmod", to);
  expect_equal_weights(LITHE_SOURCE_DIR "/models/easyvqa-pmod/vision_tower", to / "vision_tower");
  const Ran ran = cli::lithe({"run", to.string(), "--image", kPicture, "what is the color of the rectangle?"});
  EXPECT_EQ(ran.out, "Blue.\n") << ran.err;
}

TEST(Convert, RefusesWithoutLeavingAnything) {
  const fs::path broken = scratch() / "broken", out = scratch() / "refused" / "out";
  fs::create_directories(broken);
  std::ofstream(broken / "config.json") << "{}";
  std::ofstream(broken / "pytorch_model.bin") << "no weights";
  EXPECT_EQ(cli::lithe({"convert", broken.string(), "-o", out.string()}).code, 3);
  EXPECT_EQ(cli::lithe({"convert", "/nowhere", "-o", out.string()}).code, 3);
  EXPECT_TRUE(!fs::exists(out.parent_path()) || fs::is_empty(out.parent_path()));
  EXPECT_EQ(cli::lithe({"convert", "demo", "-o", broken.string()}).code, 2);
  const Ran inside = cli::lithe({"convert", broken.string(), "-o", (broken / "inside").string()});
  EXPECT_EQ(inside.code, 2);
  EXPECT_NE(inside.err.find("inside"), std::string::npos);
  EXPECT_EQ(cli::contents(broken / "pytorch_model.bin"), "no weights");
}

}  // namespace
}  // namespace lithe
