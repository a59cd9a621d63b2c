#include "serve/api_key.h"

#include <cstddef>

#include "base/lower_case.h"

namespace lithe::serve {

bool carries_key(std::string_view authorization, const std::string& key) {
  constexpr std::string_view kScheme = "bearer ";
  if (in_lower_case(std::string(authorization.substr(0, kScheme.size()))) != kScheme) return false;
  const std::string_view given = authorization.substr(kScheme.size());
  volatile unsigned char difference = given.size() == key.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char expected = i < key.size() ? key[i] : '\0';
    difference = static_cast<unsigned char>(difference | (given[i] ^ expected));
  }
  return difference == 0;
}

bool carries_one_of(std::string_view authorization, const std::vector<std::string>& keys) {
  bool found = false;
  for (const std::string& key : keys) found |= carries_key(authorization, key);
  return found;
}

}  // namespace lithe::serve
