#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/json.h"
#include "io/appended_lines.h"

namespace lithe::cli {

/// The lines of a batch, written as they come: an answer or an error for each request. A file that exists is continued.
/// Requests with an answer are done, by their id. Errors are not: their requests run again, and close() removes each
/// old error whose request got a new line. Two programs can't write one file. A pipe or a device just gets the lines.
class BatchOutput {
 public:
  /// Creates the missing folders above `path`. Throws Error{bad_file}: not writable, written by another program right
  /// now, or holding anything that is not a line of a batch (the file is then as it was). A last line that was cut off
  /// is removed.
  explicit BatchOutput(const std::filesystem::path& path);

  /// Whether the request of this id (as JSON text) has its answer.
  bool has_answer(const std::string& id) const { return answered_.count(id) > 0; }

  /// Appends {"id", "answer", ..} at once. Throws Error{bad_file}.
  void write_answer(const std::string& id, const Json& line);

  /// Appends {["id",] "line", "error"} at once, unless the file holds just that. `key`: the id, or key_of_line().
  void write_error(const std::string& key, const Json& line);

  /// An old error under this key is no longer true.
  void forget_error(const std::string& key);

  /// The same of every error under a key_of_line() that is not in `confirmed`.
  void forget_other_lines(const std::set<std::string>& confirmed);

  /// Rewrites the file without the errors that are no longer true. Throws Error{bad_file}.
  void close();

 private:
  struct OldError {
    std::string text;
    int64_t begin = 0, end = 0;  ///< Its bytes in the file, with the newline.
  };
  void take_line(std::string_view text, int64_t begin, const std::string& source);
  void drop_torn_line(std::string_view text, int64_t begin);

  std::filesystem::path path_;
  io::AppendedLines lines_;
  std::set<std::string> answered_;
  std::map<std::string, OldError> errors_;  ///< By key, those of earlier runs that still hold.
  std::map<int64_t, int64_t> untrue_;       ///< From begin to end.
};

/// The key of the error of a line whose id can't be read.
std::string key_of_line(int64_t number);

/// Whether `text` could be the beginning of a line that BatchOutput writes.
bool begins_a_line(std::string_view text);

}  // namespace lithe::cli
