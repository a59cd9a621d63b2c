#include "base/printable.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstdint>

#include "base/utf8.h"

namespace lithe {
namespace {

constexpr std::string_view kGap = " .. ";

uint32_t code_point(std::string_view character) {
  const auto lead = static_cast<unsigned char>(character.front());
  if (character.size() == 1) return lead;
  uint32_t code = lead & (0x7FU >> character.size());
  for (const char c : character.substr(1)) code = code << 6U | (static_cast<unsigned char>(c) & 0x3FU);
  return code;
}

/// C1 controls, which some terminals obey, and marks that turn the direction of what follows.
bool is_hidden(uint32_t code) {
  return (code >= 0x80 && code < 0xA0) || code == 0x2028 || code == 0x2029 || (code >= 0x202A && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069);
}

std::string escape_of(std::string_view character) {
  const auto byte = static_cast<unsigned char>(character.front());
  if (character == "\n") return "\\n";
  if (character == "\r") return "\\r";
  if (character == "\t") return "\\t";
  if (byte < 0x20 || byte == 0x7F) return fmt::format("\\x{:02x}", byte);
  const uint32_t code = code_point(character);
  return is_hidden(code) ? fmt::format("\\u{:04x}", code) : std::string(character);
}

/// The first characters of the text, escaped; as many as fit into `most_bytes`.
std::string escaped_front(std::string_view text, std::size_t most_bytes) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = character_bytes(text, at);
    const std::string piece =
        size > 0 ? escape_of(text.substr(at, size)) : fmt::format("\\x{:02x}", static_cast<unsigned char>(text[at]));
    if (result.size() + piece.size() > most_bytes) break;
    result += piece;
    at += size > 0 ? size : 1;
  }
  return result;
}

/// The end of the text from a character's first byte on, at most `most_bytes` when escaped.
std::string escaped_back(std::string_view text, std::size_t most_bytes) {
  std::size_t from = text.size() - std::min(text.size(), most_bytes);
  while (from < text.size()) {
    const bool inside = (static_cast<unsigned char>(text[from]) & 0xC0U) == 0x80U;
    std::string result = escaped_front(text.substr(from), std::string::npos);
    if (!inside && result.size() <= most_bytes) return result;
    from += inside ? 1 : result.size() - most_bytes;
    from = std::min(from, text.size());
  }
  return {};
}

}  // namespace

std::string printable(std::string_view text, std::size_t most_bytes) {
  if (text.size() <= most_bytes) {
    std::string whole = escaped_front(text, std::string::npos);
    if (whole.size() <= most_bytes) return whole;
  }
  const std::size_t room = most_bytes - std::min(most_bytes, kGap.size());
  const std::size_t front = room - room / 3;
  return escaped_front(text, front).append(kGap).append(escaped_back(text, room - front));
}

std::string in_quotes(std::string_view text, std::size_t most_bytes) {
  return '"' + printable(text, most_bytes) + '"';
}

}  // namespace lithe
