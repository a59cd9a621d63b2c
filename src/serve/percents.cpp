#include "serve/percents.h"

#include <charconv>

namespace lithe::serve {

std::string without_percents(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view digits = text[i] == '%' ? text.substr(i + 1, 2) : "";
    unsigned char byte = 0;
    const char* const read = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16).ptr;
    const bool escaped = digits.size() == 2 && read == digits.data() + digits.size();
    result += escaped ? static_cast<char>(byte) : text[i];
    if (escaped) i += 2;
  }
  return result;
}

}  // namespace lithe::serve
