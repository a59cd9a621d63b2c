#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace lithe::text {

struct Vocabulary;

inline constexpr const char* kSpaceMark = "\xE2\x96\x81";  // U+2581, how sentencepiece writes a space

/// The byte that a token of byte fallback stands for: 0xE6 for "<0xE6>".
std::optional<unsigned char> fallback_byte(const std::string& token);

/// The bytes that a token adds to a text: " the" for "▁the". An added token adds its own text; a token outside the
/// vocabulary adds nothing. A decoder may drop a space in front of the whole text.
std::string bytes_of_token(const Vocabulary& vocabulary, int64_t id);

}  // namespace lithe::text
