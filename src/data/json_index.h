#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lithe::data {

/// Where the records of a JSON text begin: the values of the list that the text is, or its lines that are not blank.
/// Values are told apart by brackets and strings alone; whether one is valid shows when it is parsed.
class JsonIndex {
 public:
  /// `file` names the text in errors. Throws Error{bad_file}: a list that does not end, or something after its end.
  JsonIndex(std::string_view text, const std::string& file);

  int64_t size() const { return static_cast<int64_t>(begins_.size()) - 1; }
  /// Record `i` with the white space around it.
  std::string_view operator[](int64_t i) const;

 private:
  void index_list(const std::string& file);
  void index_lines();

  std::string_view text_;
  bool list_ = false;
  std::vector<std::size_t> begins_;  ///< And, last, the end of the last one.
};

/// The value of a key of the object that the text is, found by brackets and strings alone: files of hundreds of
/// megabytes hold their records in a list below such a key. Throws Error{bad_file} if there is no such key.
std::string_view json_member(std::string_view text, std::string_view key, const std::string& file);

}  // namespace lithe::data
