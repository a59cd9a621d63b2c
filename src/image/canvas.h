#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "image/image.h"

/// Drawing for contact sheets: rectangles, pasted pictures and a 5 x 7 bitmap font. Everything is clipped to the
/// canvas.
namespace lithe::image {

using Colour = std::array<uint8_t, 3>;

inline constexpr int64_t kGlyphAdvance = 6;  ///< Pixels from one character to the next at scale 1.
inline constexpr int64_t kGlyphHeight = 7;

void fill(Image& canvas, const Rect& rect, Colour colour);

/// Copies `picture` with its upper left corner at (x, y).
void paste(Image& canvas, const Image& picture, int64_t x, int64_t y);

/// Digits, letters (any case is drawn as capitals), space and / . % : - ; other characters leave a gap.
void draw_text(Image& canvas, int64_t x, int64_t y, std::string_view text, Colour colour, int64_t scale = 1);

/// Pixels that `text` takes across.
int64_t text_width(std::string_view text, int64_t scale = 1);

}  // namespace lithe::image
