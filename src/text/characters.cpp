#include "text/characters.h"

#include "base/utf8.h"
#include "text/rust_boundary.h"

namespace lithe::text {
namespace {

constexpr unsigned kLetter = 1, kNumber = 2, kUpper = 4, kDigit = 8;

void put(char32_t code, std::string& out) {
  const auto low = [&](unsigned shift) { out += static_cast<char>(0x80U | ((code >> shift) & 0x3FU)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0U | code >> 6U);
    low(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0U | code >> 12U);
    low(6);
    low(0);
  } else {
    out += static_cast<char>(0xF0U | code >> 18U);
    low(12);
    low(6);
    low(0);
  }
}

std::u32string decoded(std::string_view valid) {
  std::u32string codes;
  for (std::size_t at = 0; at < valid.size();) {
    const std::size_t bytes = character_bytes(valid, at);
    codes += code_point(valid.substr(at, bytes));
    at += bytes;
  }
  return codes;
}

}  // namespace

char32_t code_point(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(character[i])); };
  if (character.size() == 1) return byte(0);
  char32_t code = byte(0) & (0xFFU >> (character.size() + 1));
  for (std::size_t i = 1; i < character.size(); ++i) code = code << 6U | (byte(i) & 0x3FU);
  return code;
}

bool is_space(char32_t code) {
  const bool blank = code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 || code == 0x2028 ||
                     code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
  return blank || (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F) ||
         (code >= 0x2000 && code <= 0x200A);
}

std::u32string code_points(std::string_view text) {
  return decoded(valid_utf8(text));
}

std::size_t length_of(std::string_view text) {
  return code_points(text).size();
}

Characters characters_of(std::string_view text) {
  const std::string valid = valid_utf8(text);
  LitheBytes out{}, error{};
  check_rust(lithe_text_kinds(valid.data(), valid.size(), &out, &error), error, Fault::internal, "kinds of characters");
  const std::string kinds = take_rust(out);
  const std::u32string codes = decoded(valid);
  Characters characters;
  characters.reserve(codes.size());
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto kind = static_cast<unsigned>(static_cast<unsigned char>(kinds.at(i)));
    characters.push_back({.code = codes[i],
                          .letter = (kind & kLetter) != 0,
                          .number = (kind & kNumber) != 0,
                          .upper = (kind & kUpper) != 0,
                          .digit = (kind & kDigit) != 0 ? static_cast<int>(kind >> 4U) : -1});
  }
  return characters;
}

std::string text_of(std::span<const Character> characters) {
  std::string text;
  for (const Character& character : characters) put(character.code, text);
  return text;
}

}  // namespace lithe::text
