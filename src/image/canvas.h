#pragma once

#include <array>
#include <cstdint>

#include "image/image.h"

/// Drawing for contact sheets: rectangles and pasted pictures (image/font.h: text). Everything is clipped to the
/// canvas.
namespace lithe::image {

using Colour = std::array<uint8_t, 3>;

void fill(Image& canvas, const Rect& rect, Colour colour);

/// Copies `picture` with its upper left corner at (x, y).
void paste(Image& canvas, const Image& picture, int64_t x, int64_t y);

}  // namespace lithe::image
