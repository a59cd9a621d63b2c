#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lithe {

/// Longest name or value from a file or a user inside a message, in bytes.
inline constexpr std::size_t kMostValueBytes = 160;
/// Longest message, in bytes.
inline constexpr std::size_t kMostSentenceBytes = 2000;

/// `text` as it may be shown on a terminal or in a log, on one line: control characters (C0, C1, DEL) and bytes that
/// are not UTF-8 are written as \n, \t, \x1b ..; what is longer than `most_bytes` loses its middle, which " .. "
/// replaces. Every message and table that holds text from a file or a user takes it through here.
///   printable("a\x1b[2J") == "a\\x1b[2J"
std::string printable(std::string_view text, std::size_t most_bytes = kMostValueBytes);

/// The same between quotation marks.  in_quotes("a\nb") == "\"a\\nb\""
std::string in_quotes(std::string_view text, std::size_t most_bytes = kMostValueBytes);

}  // namespace lithe
