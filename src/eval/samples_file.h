#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "base/json.h"
#include "io/appended_lines.h"

namespace lithe::eval {

/// A line as the file has it, with its newline.
std::string text_of_line(const Json& line);

/// The lines of a run, one for each question, written as they come: an answer, or an error. A file that exists is
/// continued; a line that a kill cut off is dropped.
class SamplesFile {
 public:
  /// Throws Error{bad_file}: not writable, written by another program, or not the lines of a run.
  explicit SamplesFile(const std::filesystem::path& path);

  /// The last line of each question, an answer or an error. Once, as they may take much memory.
  std::map<int64_t, Json> take_lines();
  /// The answers that were there, by the question's number. Questions that failed are not among them: they are asked
  /// again. Once, as they may take much memory.
  std::map<int64_t, Json> take_answers() { return std::move(answers_); }
  /// {"question", "id", .., "answer" or "error"}: written at once. Throws Error{bad_file}.
  void add(const Json& line);
  /// Replaces the file by its last line for each question, in their order. Throws Error{bad_file}.
  void tidy();

 private:
  void take(std::string_view text, int64_t begin, const std::string& source);

  std::filesystem::path path_;
  io::AppendedLines lines_;
  std::map<int64_t, Json> answers_, errors_;
  struct Place {
    int64_t begin = 0, end = 0;
  };
  std::map<int64_t, Place> last_;  ///< The last line of each question.
  int64_t end_ = 0;
  bool tidy_ = true;  ///< One line for each question, in order.
};

}  // namespace lithe::eval
