#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lithe::cli {

/// What the Tab key may put in: words that begin with the last `typed` bytes in front of the cursor.
struct Completions {
  std::size_t typed = 0;
  std::vector<std::string> words;
};

/// Reads lines from a terminal: editing, history, UTF-8, completion by Tab. Writes to stderr, so that stdout holds
/// answers alone.
class LineEditor {
 public:
  using Complete = std::function<Completions(const std::string& before_cursor)>;

  /// `history`: earlier lines, oldest first.
  LineEditor(const std::vector<std::string>& history, Complete complete);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  struct Input {
    enum class Kind {
      line,
      interrupted,  ///< Ctrl-C; what was typed is gone.
      end,          ///< Ctrl-D on an empty line, or the terminal went away.
    };
    Kind kind = Kind::line;
    std::string text;  ///< Without the newline.
  };
  Input read(const std::string& prompt);

  /// Makes a line the newest of the history.
  void remember(const std::string& line);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lithe::cli
