#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lithe::cli {

/// The result of a run of the program.
struct Ran {
  int code = -1;
  std::string out, err;
};

/// Runs the built binary with these arguments, in the root of the project; `input` is its stdin.
Ran lithe(const std::vector<std::string>& arguments, const std::string& input = {});

/// Runs a line of shell in `folder`; `lithe` is the built binary.
Ran shell(const std::string& line, const std::filesystem::path& folder);

/// A folder of this process for files that tests write.
const std::filesystem::path& scratch();

/// A folder in there that does not exist yet.
std::filesystem::path fresh(const std::string& name);

/// A picture that the shipped models know.
inline const std::string kPicture = LITHE_SOURCE_DIR "/models/images/901.png";

std::string contents(const std::filesystem::path& file);

}  // namespace lithe::cli
