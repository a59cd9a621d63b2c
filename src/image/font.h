#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "image/canvas.h"

namespace lithe::image {

/// Letters of one size, drawn in advance (tools/make_font.py) and part of the program. Characters that it lacks are
/// drawn as a box; text runs from left to right, character by character.
class Font {
 public:
  static const Font& small();  ///< 12 pixels; Latin only.
  static const Font& plain();  ///< 15 pixels; Latin to Arabic, Chinese, Japanese, Korean, symbols.
  static const Font& large();  ///< 22 pixels; Latin only.

  int64_t line_height() const { return ascent_ + descent_; }
  /// Pixels that UTF-8 text takes across.
  int64_t width(std::string_view text) const;

  /// Draws UTF-8 text with its upper left corner at (x, y), clipped to the canvas.
  void draw(Image& canvas, int64_t x, int64_t y, std::string_view text, Colour colour) const;

  /// The text in lines of at most `width` pixels, broken between words, and inside a word that is wider than a line (as
  /// Chinese sentences are); white space becomes one space. What does not fit in `most_lines` is cut, and the last line
  /// then ends with "…".
  std::vector<std::string> wrap(std::string_view text, int64_t width, std::size_t most_lines) const;

 private:
  friend class FontReader;

  struct Glyph {
    char32_t character = 0;
    int16_t left = 0, top = 0;  // from the pen, which stands on the base line
    uint8_t width = 0, height = 0, advance = 0;
    std::size_t cover = 0;  // where its coverages begin
  };

  const Glyph* find(char32_t character) const;
  int64_t advance_of(char32_t character) const;
  void draw_glyph(Image& canvas, const Glyph& glyph, int64_t x, int64_t base, Colour colour) const;
  std::string shortened(std::string text, int64_t width) const;

  int64_t ascent_ = 0, descent_ = 0;
  std::vector<Glyph> glyphs_;    // by character
  std::vector<uint8_t> covers_;  // 0..15, a byte each
};

}  // namespace lithe::image
