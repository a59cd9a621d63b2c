#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

#include "io/output_file.h"

namespace lithe::io {

/// A file of lines that a program appends as its results come. Each is written at once, so a kill at any moment loses
/// at most the line at hand. Two programs can't write one file. A pipe or a device just gets the lines.
class AppendedLines {
 public:
  struct Line {
    std::string_view text;  ///< Without the newline.
    int64_t begin = 0;      ///< Of its bytes in the file.
    int64_t number = 0;     ///< From 1.
  };
  using Take = std::function<void(const Line&)>;

  /// Creates the missing folders above `path`, and the file. Throws Error{bad_file}: not writable, or written by
  /// another program right now.
  explicit AppendedLines(std::filesystem::path path);
  ~AppendedLines();
  AppendedLines(const AppendedLines&) = delete;
  AppendedLines& operator=(const AppendedLines&) = delete;

  /// Whether there may be lines to continue: a file that could be locked.
  bool is_file() const { return is_file_; }
  /// Every line with its newline, then what stands after the last one, if anything does. Throws Error{bad_file} for a
  /// line of more than `most_bytes`; `what`: "the output of a batch".
  void read(std::size_t most_bytes, const char* what, const Take& take, const Take& torn) const;
  /// Writes whole lines, which bring their newlines. Throws Error{bad_file}.
  void append(std::string_view lines);
  /// Throws Error{bad_file}.
  void shorten(int64_t bytes);

  int64_t size() const;
  /// Copies a stretch of bytes to the end of another file. Throws Error{bad_file}.
  void copy(int64_t begin, int64_t end, OutputFile& to) const;

 private:
  void lock();

  std::filesystem::path path_;
  int descriptor_ = -1;
  bool is_file_ = false;
};

}  // namespace lithe::io
