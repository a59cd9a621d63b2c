#include "tune/name_pattern.h"

namespace lithe::tune {
namespace {

/// Goes back only to the last star, so a hostile pattern costs no more than pattern times name.
bool glob(std::string_view pattern, std::string_view name) {
  constexpr auto kNone = std::string_view::npos;
  std::size_t at = 0, in_name = 0, star = kNone, after_star = 0;
  while (in_name < name.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      after_star = in_name;
    } else if (at < pattern.size() && (pattern[at] == '?' || pattern[at] == name[in_name])) {
      ++at;
      ++in_name;
    } else if (star != kNone) {
      at = star + 1;
      in_name = ++after_star;
    } else {
      return false;
    }
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

/// Whether `parts` is in `name`, with a dot or an end on both sides.
bool holds_parts(std::string_view name, std::string_view parts) {
  if (parts.empty()) return false;
  for (std::size_t at = name.find(parts); at != std::string_view::npos; at = name.find(parts, at + 1)) {
    const std::size_t end = at + parts.size();
    if ((at == 0 || name[at - 1] == '.') && (end == name.size() || name[end] == '.')) return true;
  }
  return false;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view name) {
  return pattern.find_first_of("*?") == std::string_view::npos ? holds_parts(name, pattern) : glob(pattern, name);
}

bool chosen(const std::vector<std::string>& patterns, std::string_view name) {
  for (auto pattern = patterns.rbegin(); pattern != patterns.rend(); ++pattern) {
    const bool leaves_out = pattern->starts_with('!');
    if (matches(std::string_view(*pattern).substr(leaves_out ? 1 : 0), name)) return !leaves_out;
  }
  return false;
}

}  // namespace lithe::tune
