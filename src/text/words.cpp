#include "text/words.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/characters.h"
#include "text/rust_boundary.h"

namespace lithe::text {
namespace {

/// Where each stretch without white space begins and ends.
std::vector<std::pair<std::size_t, std::size_t>> stretches(std::string_view text) {
  std::vector<std::pair<std::size_t, std::size_t>> found;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = std::max<std::size_t>(1, character_bytes(text, at));
    const bool whole = character_bytes(text, at) > 0;
    const bool space = whole && is_space(code_point(text.substr(at, bytes)));
    if (!space && !inside) found.emplace_back(at, at);
    inside = !space;
    at += bytes;
    if (inside) found.back().second = at;
  }
  return found;
}

using Case = int (*)(const char* data, size_t size, LitheBytes* out, LitheBytes* error);

std::string in_case(Case change, std::string_view text) {
  const std::string valid = valid_utf8(text);
  LitheBytes out{}, error{};
  check_rust(change(valid.data(), valid.size(), &out, &error), error, Fault::internal, "case of letters");
  return take_rust(out);
}

}  // namespace

std::string stripped(std::string_view text) {
  const auto found = stretches(text);
  if (found.empty()) return {};
  return std::string(text.substr(found.front().first, found.back().second - found.front().first));
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (const auto& [begin, end] : stretches(text)) words.emplace_back(text.substr(begin, end - begin));
  return words;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text.append(text.empty() ? "" : " ").append(word);
  return text;
}

std::string lower(std::string_view text) {
  return in_case(lithe_text_lower, text);
}

std::string upper(std::string_view text) {
  return in_case(lithe_text_upper, text);
}

std::string capitalised(std::string_view text) {
  return in_case(lithe_text_capitalised, text);
}

}  // namespace lithe::text
