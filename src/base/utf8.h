#pragma once

#include <string>
#include <string_view>

namespace lithe {

inline constexpr const char* kReplacement = "\xEF\xBF\xBD";  // U+FFFD

/// The text with every maximal broken sequence of bytes replaced by one U+FFFD, as Unicode recommends.
std::string valid_utf8(std::string_view text);

/// Bytes of the character that starts at `at`; 0 when none does. `broken`, if given, gets the length of the broken
/// sequence there.
std::size_t character_bytes(std::string_view text, std::size_t at, std::size_t* broken = nullptr);

}  // namespace lithe
