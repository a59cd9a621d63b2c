#include "text/token_bytes.h"

#include <array>
#include <cctype>
#include <string_view>

#include "base/utf8.h"
#include "text/characters.h"
#include "text/engine.h"
#include "text/message.h"

namespace lithe::text {
namespace {

/// GPT-2 writes bytes as characters: those that can be seen as themselves, the others from U+0100 on.
bool is_itself(uint32_t byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

/// The byte of each character below U+0144; -1: none.
std::array<int, 0x144> byte_alphabet() {
  std::array<int, 0x144> bytes{};
  bytes.fill(-1);
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) bytes[is_itself(byte) ? byte : next++] = static_cast<int>(byte);
  return bytes;
}

/// A token that is not written in the alphabet stands for itself.
std::string from_byte_alphabet(const std::string& token) {
  static const std::array<int, 0x144> alphabet = byte_alphabet();
  std::string text;
  for (std::size_t at = 0; at < token.size();) {
    const std::size_t bytes = character_bytes(token, at);
    if (bytes == 0) return token;
    const char32_t character = code_point(std::string_view(token).substr(at, bytes));
    if (character >= alphabet.size() || alphabet[character] < 0) return token;
    text += static_cast<char>(alphabet[character]);
    at += bytes;
  }
  return text;
}

}  // namespace

std::optional<unsigned char> fallback_byte(const std::string& token) {
  const auto is_digit = [&](std::size_t at) { return std::isxdigit(static_cast<unsigned char>(token[at])) != 0; };
  const bool is_byte =
      token.size() == 6 && token.starts_with("<0x") && token.back() == '>' && is_digit(3) && is_digit(4);
  if (!is_byte) return std::nullopt;
  return static_cast<unsigned char>(std::stoi(token.substr(3, 2), nullptr, 16));
}

std::string bytes_of_token(const Vocabulary& vocabulary, int64_t id) {
  const auto found = vocabulary.tokens.find(id);
  if (found == vocabulary.tokens.end()) return {};
  const std::string& token = found->second;
  if (vocabulary.added.contains(id)) return token;
  if (vocabulary.byte_level) return from_byte_alphabet(token);
  const std::optional<unsigned char> byte = fallback_byte(token);
  return byte ? std::string(1, static_cast<char>(*byte)) : replaced(token, kSpaceMark, " ");
}

}  // namespace lithe::text
