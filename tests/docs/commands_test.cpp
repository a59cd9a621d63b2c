#include <gtest/gtest.h>
#include <fstream>
#include <string>
#include <vector>

#include "cli/program.h"

namespace lithe::cli {
namespace {

/// The commands of the ```sh blocks of a page; a line that ends in a backslash goes on in the next.
std::vector<std::string> examples_of(const std::string& page) {
  std::ifstream in(page);
  std::vector<std::string> lines;
  bool inside = false, goes_on = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      inside = line == "```sh";
      continue;
    }
    if (!inside || line.empty()) continue;
    if (goes_on) {
      lines.back() += "\n" + line;
    } else {
      lines.push_back(line);
    }
    goes_on = line.ends_with('\\');
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
    if (line.find(" > ") == std::string::npos) {
      EXPECT_NE(ran.out + ran.err, "") << line;
    }
  }
}

}  // namespace
}  // namespace lithe::cli
