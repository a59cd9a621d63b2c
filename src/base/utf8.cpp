#include "base/utf8.h"

namespace lithe {
namespace {

struct Lead {
  std::size_t size;         // of the whole character; 0: no character starts with this byte
  unsigned char low, high;  // of the second byte: shorter spellings, surrogates and what lies beyond U+10FFFF are out
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

std::size_t character_bytes(std::string_view text, std::size_t at, std::size_t* broken) {
  const Lead lead = lead_of(static_cast<unsigned char>(text[at]));
  if (broken) *broken = 1;
  for (std::size_t i = 1; i < lead.size; ++i) {
    const unsigned char low = i == 1 ? lead.low : 0x80;
    const unsigned char high = i == 1 ? lead.high : 0xBF;
    const bool follows = at + i < text.size();
    const unsigned char byte = follows ? static_cast<unsigned char>(text[at + i]) : 0;
    if (!follows || byte < low || byte > high) {
      if (broken) *broken = i;
      return 0;
    }
  }
  return lead.size;
}

std::string valid_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    std::size_t broken = 0;
    const std::size_t size = character_bytes(text, at, &broken);
    if (size > 0) {
      result.append(text.substr(at, size));
      at += size;
    } else {
      result += kReplacement;
      at += broken;
    }
  }
  return result;
}

}  // namespace lithe
