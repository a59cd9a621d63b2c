#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace lithe::cli {

/// The longest line of a file of requests or answers.
inline constexpr std::size_t kMaxLineBytes = std::size_t{16} << 20;

/// Lines of a JSONL file or a pipe; empty ones are skipped.
class LineReader {
 public:
  /// Throws Error{bad_file} if the file can't be opened or is a device other than a terminal, which may have no end.
  explicit LineReader(const std::filesystem::path& path);

  /// False at the end. Throws Error{bad_file} for a line of more than 16 MiB, and goes on after it when called again;
  /// if such a line does not end within 64 MiB more, the reader gives up, and that was the end.
  bool next(std::string& line);
  int64_t number() const { return number_; }  ///< Of the line read last, from 1.
  int64_t bytes_read() const { return bytes_read_; }
  bool gave_up() const { return gave_up_; }
  bool is_file() const { return bytes_.has_value(); }
  std::optional<double> share_read() const;  ///< 0 .. 1, by bytes; absent for a pipe, which has no size.

 private:
  [[noreturn]] void pass_over();

  std::filesystem::path path_;
  std::ifstream in_;
  std::vector<char> buffer_;
  int64_t number_ = 0, bytes_read_ = 0;
  std::optional<int64_t> bytes_;  // of a file
  bool gave_up_ = false;
};

/// One request of a batch, as its line gives it.
struct BatchItem {
  std::vector<std::filesystem::path> images;  ///< Relative ones start at the folder of the JSONL file.
  std::string prompt;
  std::optional<std::string> plan;
  std::optional<int64_t> max_tokens;
};

/// What an id may be: a string or a whole number.
bool is_id(const Json& value);

/// An id as JSON text.
std::string text_of_id(const Json& id);

/// The `id` of a line as JSON text, by which an output is resumed. Throws Error{bad_file} unless is_id().
std::string id_of(const Json& line, const std::string& source);

/// A key of a line that is not known, and the known one that was most likely meant.
struct MisspeltKey {
  std::string key, meant;
};
/// Those of a line whose meant key is not there.
std::vector<MisspeltKey> misspelt_keys(const Json& line);

/// Reads {"id", "image" or "images", "prompt"[, "plan", "max_tokens"]}. Other keys are ignored; null is as good as
/// absent. Throws Error{bad_file}.
BatchItem read_item(const Json& line, const std::filesystem::path& folder, const std::string& source);

}  // namespace lithe::cli
