#include "text/words.h"

#include <algorithm>
#include <cstdint>

#include "base/utf8.h"
#include "text/rust_boundary.h"

namespace lithe::text {
namespace {

/// The code point of a whole character.
uint32_t code_point(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(character[i])); };
  if (character.size() == 1) return byte(0);
  uint32_t code = byte(0) & (0xFFU >> (character.size() + 1));
  for (std::size_t i = 1; i < character.size(); ++i) code = code << 6U | (byte(i) & 0x3FU);
  return code;
}

/// str.isspace() of one character.
bool is_space(uint32_t code) {
  const bool blank = code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 || code == 0x2028 ||
                     code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
  return blank || (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F) ||
         (code >= 0x2000 && code <= 0x200A);
}

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
  const std::string valid = valid_utf8(text);
  LitheBytes out{}, error{};
  check_rust(lithe_text_lower(valid.data(), valid.size(), &out, &error), error, Fault::internal, "lower case");
  return take_rust(out);
}

}  // namespace lithe::text
