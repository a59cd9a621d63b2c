#pragma once

#include <string>

namespace lithe {

/// The letters A to Z as small ones; every other byte as it is, in any locale.
inline std::string in_lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

}  // namespace lithe
