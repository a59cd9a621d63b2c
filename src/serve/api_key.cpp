#include "serve/api_key.h"

#include <cstddef>

namespace lithe::serve {

bool carries_key(std::string_view authorization, const std::string& key) {
  constexpr std::string_view kScheme = "bearer ";
  bool scheme = authorization.size() >= kScheme.size();
  for (std::size_t i = 0; scheme && i < kScheme.size(); ++i) scheme = (authorization[i] | 0x20) == kScheme[i];
  const std::string_view given = scheme ? authorization.substr(kScheme.size()) : std::string_view();
  volatile unsigned char difference = given.size() == key.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char expected = i < key.size() ? key[i] : '\0';
    difference = static_cast<unsigned char>(difference | (given[i] ^ expected));
  }
  return scheme && difference == 0;
}

}  // namespace lithe::serve
