#include "cli/program.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace lithe::cli {

namespace fs = std::filesystem;

namespace {

/// The folder, gone when the process ends that made it; one that was forked leaves it.
struct Scratch {
  fs::path path;
  pid_t owner = getpid();
  Scratch() {
    std::string name = (fs::temp_directory_path() / "lithe-cli-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no scratch folder");
    path = name;
  }
  ~Scratch() {
    if (getpid() != owner) return;
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  out += '\'';
  return out;
}

Ran execute(const std::string& command) {
  const fs::path out = scratch() / "stdout", err = scratch() / "stderr";
  const int status = std::system((command + " > " + quoted(out.string()) + " 2> " + quoted(err.string())).c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, contents(out), contents(err)};
}

}  // namespace

const fs::path& scratch() {
  static const Scratch folder;
  return folder.path;
}

fs::path fresh(const std::string& name) {
  fs::remove_all(scratch() / name);
  return scratch() / name;
}

std::string contents(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Ran lithe(const std::vector<std::string>& arguments, const std::string& input) {
  const fs::path in = scratch() / "stdin";
  std::ofstream(in, std::ios::binary) << input;
  std::string command = quoted(LITHE_BINARY);
  for (const std::string& argument : arguments) command.append(" ").append(quoted(argument));
  return execute(command + " < " + quoted(in.string()));
}

Ran shell(const std::string& line, const fs::path& folder) {
  const fs::path tools = scratch() / "bin";
  fs::create_directories(tools);
  if (!fs::exists(tools / "lithe")) fs::create_symlink(LITHE_BINARY, tools / "lithe");
  return execute("cd " + quoted(folder.string()) + " && PATH=" + quoted(tools.string()) + ":\"$PATH\" sh -c " +
                 quoted(line));
}

}  // namespace lithe::cli
