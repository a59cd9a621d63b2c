#include "cli/terminal_text.h"

#include <fmt/format.h>
#include <unistd.h>

namespace lithe::cli {

std::string harmless(std::string_view piece) {
  std::string out;
  for (std::size_t i = 0; i < piece.size(); ++i) {
    const auto byte = static_cast<unsigned char>(piece[i]);
    // U+0080 .. U+009F, which terminals take for control characters too, are C2 80 .. C2 9F.
    const bool second = byte == 0xC2 && i + 1 < piece.size() && static_cast<unsigned char>(piece[i + 1]) < 0xA0;
    if (second) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(piece[++i]));
    } else if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += piece[i];
    }
  }
  return out;
}

std::string for_stdout(std::string_view piece) {
  static const bool terminal = isatty(STDOUT_FILENO) == 1;
  return terminal ? harmless(piece) : std::string(piece);
}

}  // namespace lithe::cli
