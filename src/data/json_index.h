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
  std::size_t skip_value(std::size_t at, const std::string& file) const;
  std::size_t skip_space(std::size_t at) const;

  std::string_view text_;
  bool list_ = false;
  std::vector<std::size_t> begins_;  ///< And, last, the end of the last one.
};

}  // namespace lithe::data
