#include <gtest/gtest.h>

#include "cli/program.h"

namespace lithe::cli {
namespace {

TEST(Demo, TheAnswersComeBeforeTheLongComparison) {
  const std::filesystem::path folder = scratch() / "demo";
  std::filesystem::create_directories(folder);
  // So many rounds never end: what is read until then was written before the first.
  const Ran ran = shell(
      "{ lithe demo --rounds 1000000 & echo $! >pid; } | sed '/^Now the same/q'; kill \"$(cat pid)\"; test -s "
      "lithe-demo.png",
      folder);
  EXPECT_EQ(ran.code, 0) << ran.err;
  const std::size_t answer = ran.out.find("| Blue."),
                    comparison = ran.out.find("\nNow the same comparison at 7B width: about ");
  EXPECT_NE(answer, std::string::npos) << ran.out;
  EXPECT_NE(comparison, std::string::npos) << ran.out;
  EXPECT_LT(answer, comparison);
}

}  // namespace
}  // namespace lithe::cli
