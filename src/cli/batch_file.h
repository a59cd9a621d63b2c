#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"

namespace lithe::cli {

/// Lines of a JSONL file or a pipe; empty ones are passed over.
class LineReader {
 public:
  /// Throws Error{bad_file} where the file can't be opened.
  explicit LineReader(const std::filesystem::path& path);

  /// False at the end. Throws Error{bad_file} for a line of more than 16 MiB, and goes on behind it when called again.
  bool next(std::string& line);
  int64_t number() const { return number_; }  ///< Of the line read last, from 1.
  int64_t bytes_read() const { return bytes_read_; }
  bool is_file() const { return bytes_.has_value(); }
  std::optional<double> share_read() const;  ///< 0 .. 1, by bytes; absent for a pipe, which has no size.

 private:
  std::filesystem::path path_;
  std::ifstream in_;
  std::vector<char> buffer_;
  int64_t number_ = 0, bytes_read_ = 0;
  std::optional<int64_t> bytes_;  // of a file
};

/// One request of a batch, as its line says it.
struct BatchItem {
  std::vector<std::string> images;  ///< Paths, those that are relative below the folder of the JSONL file.
  std::string prompt;
  std::optional<std::string> plan;
  std::optional<int64_t> max_tokens;
};

/// The `id` of a line as JSON text, by which an output is resumed. Throws Error{bad_file} unless it is a string or an
/// integer.
std::string id_of(const Json& line, const std::string& source);

/// Reads {"id", "image" or "images", "prompt"[, "plan", "max_tokens"]}; other keys are not looked at. Throws
/// Error{bad_file}.
BatchItem read_item(const Json& line, const std::filesystem::path& folder, const std::string& source);

/// The answers of a batch, one line each, written as they come. A file that is there is continued: a torn last line is
/// dropped. Two programs can't write one file.
class BatchOutput {
 public:
  /// Throws Error{bad_file}: not writable, written by another program right now, or holding lines that are no answers.
  explicit BatchOutput(const std::filesystem::path& path);
  ~BatchOutput();
  BatchOutput(const BatchOutput&) = delete;
  BatchOutput& operator=(const BatchOutput&) = delete;

  /// Whether a request has its line, by id; or by its number, where its line had no id.
  bool has(const std::string& key) const { return keys_.count(key) > 0; }

  /// Appends a line at once. Throws Error{bad_file}.
  void write(const Json& line);

 private:
  void take_lines();
  void find_last_newline();

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::set<std::string> keys_;
  int64_t whole_bytes_ = 0;  // up to the last newline
};

/// The key of a line without an id.
std::string key_of_line(int64_t number);

}  // namespace lithe::cli
