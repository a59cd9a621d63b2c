#include "image/font.h"

#include <algorithm>
#include <array>

#include <zlib.h>

#include "base/error.h"
#include "base/utf8.h"

// The file of tools/make_font.py becomes a part of the program.
asm(R"(
.section .rodata
.global lithe_font_begin
.global lithe_font_end
.hidden lithe_font_begin
.hidden lithe_font_end
lithe_font_begin:
.incbin ")" LITHE_FONT_FILE R"("
lithe_font_end:
.byte 0
.previous
)");

extern "C" __attribute__((visibility("hidden"))) const unsigned char lithe_font_begin[];
extern "C" __attribute__((visibility("hidden"))) const unsigned char lithe_font_end[];

namespace lithe::image {
namespace {

constexpr std::size_t kMaxFontBytes = std::size_t{1} << 22;
constexpr char32_t kUnknown = 0xFFFD;

/// Calls take(character) for every character of UTF-8 text; broken bytes are U+FFFD.
template <class Take>
void for_each_character(std::string_view text, const Take& take) {
  const std::string valid = valid_utf8(text);
  for (std::size_t at = 0; at < valid.size();) {
    const std::size_t bytes = std::max<std::size_t>(character_bytes(valid, at), 1);
    char32_t character = static_cast<uint8_t>(valid[at]);
    if (bytes > 1) character &= 0x7F >> bytes;
    for (std::size_t i = 1; i < bytes; ++i) character = character << 6 | (static_cast<uint8_t>(valid[at + i]) & 0x3F);
    take(character, std::string_view(valid).substr(at, bytes));
    at += bytes;
  }
}

bool is_space(char32_t character) {
  return character <= 0x20 || character == 0x7F || character == 0xA0 || character == 0x2028 || character == 0x2029;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words(1);
  for_each_character(text, [&words](char32_t character, std::string_view bytes) {
    if (!is_space(character)) {
      words.back() += bytes;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  });
  if (words.back().empty()) words.pop_back();
  return words;
}

}  // namespace

/// Reads the sizes out of the file.
class FontReader {
 public:
  static std::array<Font, 3> read() {
    std::vector<uint8_t> bytes(kMaxFontBytes);
    uLongf size = bytes.size();
    const int status =
        uncompress(bytes.data(), &size, lithe_font_begin, static_cast<uLong>(lithe_font_end - lithe_font_begin));
    require(status == Z_OK, Fault::internal, "the program's font is damaged");
    bytes.resize(size);
    FontReader reader(std::move(bytes));
    std::array<Font, 3> fonts;
    for (Font& font : fonts) font = reader.next_size();
    return fonts;
  }

 private:
  explicit FontReader(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}

  uint32_t number(int bytes) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= uint32_t{bytes_.at(at_++)} << (8 * i);
    return value;
  }

  Font next_size() {
    Font font;
    font.ascent_ = number(2);
    font.descent_ = number(2);
    for (uint32_t left = number(4); left > 0; --left) {
      Font::Glyph glyph{.character = number(4)};
      glyph.left = static_cast<int16_t>(number(2));
      glyph.top = static_cast<int16_t>(number(2));
      glyph.width = static_cast<uint8_t>(number(1));
      glyph.height = static_cast<uint8_t>(number(1));
      glyph.advance = static_cast<uint8_t>(number(1));
      glyph.cover = font.covers_.size();
      for (int pixels = glyph.width * glyph.height; pixels > 0; pixels -= 2) {
        const uint32_t two = number(1);
        font.covers_.push_back(two & 15);
        font.covers_.push_back(two >> 4);
      }
      font.glyphs_.push_back(glyph);
    }
    return font;
  }

  std::vector<uint8_t> bytes_;
  std::size_t at_ = 0;
};

namespace {

const std::array<Font, 3>& fonts() {
  static const std::array<Font, 3> read = FontReader::read();
  return read;
}

}  // namespace

const Font& Font::small() {
  return fonts()[0];
}
const Font& Font::plain() {
  return fonts()[1];
}
const Font& Font::large() {
  return fonts()[2];
}

const Font::Glyph* Font::find(char32_t character) const {
  const auto at = std::lower_bound(glyphs_.begin(), glyphs_.end(), character,
                                   [](const Glyph& glyph, char32_t wanted) { return glyph.character < wanted; });
  return at != glyphs_.end() && at->character == character ? &*at : nullptr;
}

int64_t Font::advance_of(char32_t character) const {
  const Glyph* glyph = find(character);
  return glyph ? glyph->advance : ascent_;  // Of the box: as wide as it is high.
}

int64_t Font::width(std::string_view text) const {
  int64_t sum = 0;
  for_each_character(text, [&](char32_t character, std::string_view) { sum += advance_of(character); });
  return sum;
}

void Font::draw_glyph(Image& canvas, const Glyph& glyph, int64_t x, int64_t base, Colour colour) const {
  for (int64_t row = 0; row < glyph.height; ++row) {
    for (int64_t column = 0; column < glyph.width; ++column) {
      const int cover = covers_[glyph.cover + static_cast<std::size_t>(row * glyph.width + column)];
      const int64_t at_x = x + glyph.left + column, at_y = base + glyph.top + row;
      if (cover == 0 || at_x < 0 || at_y < 0 || at_x >= canvas.width || at_y >= canvas.height) continue;
      uint8_t* pixel = canvas.row(at_y) + at_x * 3;
      for (std::size_t c = 0; c < 3; ++c)
        pixel[c] = static_cast<uint8_t>((pixel[c] * (15 - cover) + colour[c] * cover + 7) / 15);
    }
  }
}

void Font::draw(Image& canvas, int64_t x, int64_t y, std::string_view text, Colour colour) const {
  for_each_character(text, [&](char32_t character, std::string_view) {
    if (const Glyph* glyph = find(character); glyph && character != kUnknown) {
      draw_glyph(canvas, *glyph, x, y + ascent_, colour);
    } else {
      const int64_t side = ascent_ * 3 / 4, left = x + ascent_ / 8, top = y + ascent_ - side;
      for (const Rect& edge : {Rect{left, top, side, 1}, Rect{left, top + side - 1, side, 1}, Rect{left, top, 1, side},
                               Rect{left + side - 1, top, 1, side}}) {
        fill(canvas, edge, colour);
      }
    }
    x += advance_of(character);
  });
}

std::string Font::shortened(std::string text, int64_t most) const {
  constexpr const char* kDots = "\xE2\x80\xA6";  // U+2026
  while (!text.empty() && width(text) + width(kDots) > most) {
    while (!text.empty() && (static_cast<uint8_t>(text.back()) & 0xC0) == 0x80) text.pop_back();
    if (!text.empty()) text.pop_back();
  }
  return text + kDots;
}

std::vector<std::string> Font::wrap(std::string_view text, int64_t most, std::size_t most_lines) const {
  std::vector<std::string> lines;
  std::string line;
  const auto end_line = [&] {
    lines.push_back(std::move(line));
    line.clear();
  };
  for (const std::string& word : words_of(text)) {
    if (lines.size() > most_lines) break;
    const int64_t whole = width(word), beside = whole <= most ? whole : line_height();  // a character, about
    if (!line.empty() && width(line) + width(" ") + beside > most) end_line();
    if (!line.empty()) line += ' ';
    for_each_character(word, [&](char32_t character, std::string_view bytes) {
      if (lines.size() > most_lines) return;
      if (!line.empty() && width(line) + advance_of(character) > most) end_line();
      line += bytes;
    });
  }
  if (!line.empty()) end_line();
  if (lines.size() > most_lines) {
    lines.resize(most_lines);
    if (!lines.empty()) lines.back() = shortened(std::move(lines.back()), most);
  }
  return lines;
}

}  // namespace lithe::image
