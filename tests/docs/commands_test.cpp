#include <gtest/gtest.h>
#include <fstream>
#include <string>
#include <vector>

#include "cli/program.h"

namespace lithe::cli {
namespace {

/// The lines of the ```sh blocks of a page.
std::vector<std::string> examples_of(const std::string& page) {
  std::ifstream in(page);
  std::vector<std::string> lines;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      inside = line == "```sh";
    } else if (inside && !line.empty()) {
      lines.push_back(line);
    }
  }
  return lines;
}

// In a folder where `models` is the shipped one, as in the root of the project.
TEST(Commands, ExamplesRunAsPrinted) {
  const auto folder = scratch() / "docs";
  std::filesystem::create_directories(folder);
  std::filesystem::create_symlink(LITHE_SOURCE_DIR "/models", folder / "models");
  const std::vector<std::string> lines = examples_of(LITHE_SOURCE_DIR "/docs/commands.md");
  EXPECT_GE(lines.size(), 15U);
  for (const std::string& line : lines) {
    const Ran ran = shell(line, folder);
    EXPECT_EQ(ran.code, 0) << line << "\n" << ran.err;
    EXPECT_NE(ran.out + ran.err, "") << line;
  }
}

}  // namespace
}  // namespace lithe::cli
