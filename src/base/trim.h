#pragma once

#include <string>
#include <string_view>

namespace lithe {

/// The text without these characters at its ends.
inline std::string trimmed(std::string_view text, std::string_view blanks = " \t\n\r\v\f") {
  const std::size_t first = text.find_first_not_of(blanks);
  return first == std::string_view::npos ? ""
                                         : std::string(text.substr(first, text.find_last_not_of(blanks) - first + 1));
}

}  // namespace lithe
