#include "serve/api_key.h"

#include "base/any_case.h"

namespace lithe::serve {
namespace {

bool equal(std::string_view given, const std::string& key) {
  volatile unsigned char difference = given.size() == key.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char expected = i < key.size() ? key[i] : '\0';
    difference = static_cast<unsigned char>(difference | (given[i] ^ expected));
  }
  return difference == 0;
}

}  // namespace

std::optional<std::size_t> key_of(std::string_view authorization, const std::vector<std::string>& keys) {
  constexpr std::string_view kScheme = "bearer ";
  if (!begins_in_any_case(authorization, kScheme)) return std::nullopt;
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (equal(authorization.substr(kScheme.size()), keys[i])) found = i;
  }
  return found;
}

}  // namespace lithe::serve
