#include <gtest/gtest.h>
#include <fstream>

#include "cli/program.h"

namespace lithe::cli {
namespace {

/// What bash offers for the last of these words, one a line.
std::string offered(const std::string& words) {
  const std::filesystem::path folder = scratch() / "completion";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "my picture.png") << "";
  std::ofstream(folder / "complete.sh") << R"(source <(lithe completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_lithe
printf '%s\n' "${COMPREPLY[@]}"
)";
  const Ran ran = shell("bash complete.sh " + words, folder);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  return ran.out;
}

TEST(Completion, OffersCommandsFlagsAndModels) {
  EXPECT_EQ(offered("lithe ru"), "run\n");
  EXPECT_EQ(offered("lithe run demo --heat"), "--heat-map\n");
  EXPECT_EQ(offered("lithe run demo-d"), "demo-dense\n");
}

TEST(Completion, ANameWithASpaceIsOneName) {
  EXPECT_EQ(offered("lithe run demo --image my"), "my picture.png\n");
  EXPECT_EQ(offered("lithe trace demo -o my"), "my picture.png\n");
}

TEST(Completion, OffersTheValuesOfFlags) {
  EXPECT_EQ(offered("lithe run demo --plan shor"), "shortv\n");
  EXPECT_EQ(offered("lithe run demo --weights ''"), "auto\nfloat32\nbfloat16\nfloat16\nint8\nint4\n");
  EXPECT_EQ(offered("lithe run demo --kv ''"), "auto\nfloat32\nbfloat16\nint8\n");
  EXPECT_EQ(offered("lithe run demo --compute ''"), "float32\nbfloat16\nint8\n");
  EXPECT_EQ(offered("lithe convert demo --to ''"), "hf\noriginal\nsame\n");
  EXPECT_EQ(offered("lithe inspect --shape llava-n"), "llava-next-7b\n");
  EXPECT_EQ(offered("lithe bench demo -o ''"), "md\ncsv\njson\n");
  EXPECT_EQ(offered("lithe bench demo --output c"), "csv\n");
  EXPECT_EQ(offered("lithe bench demo --against f"), "feed-forward\n");
}

}  // namespace
}  // namespace lithe::cli
