#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lithe::cli {

/// The lines typed in earlier chats, oldest first, and the file that keeps them for later ones: a line each, readable
/// by its owner alone, the newest thousand. Several chats may write at a time.
class History {
 public:
  /// Reads the file; one that is not there is empty. An empty path: nothing is kept. Throws Error{bad_file}.
  explicit History(std::filesystem::path file);

  const std::vector<std::string>& lines() const { return lines_; }

  /// Appends a line, unless it repeats the one before. Throws Error{bad_file} if it can't be written.
  void add(const std::string& line);

  /// ${XDG_STATE_HOME:-~/.local/state}/lithe/history; empty if there is no home.
  static std::filesystem::path usual_file();

 private:
  void rewrite() const;

  std::filesystem::path file_;
  std::vector<std::string> lines_;
};

}  // namespace lithe::cli
