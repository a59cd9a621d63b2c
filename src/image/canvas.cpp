#include "image/canvas.h"

#include <algorithm>

namespace lithe::image {
void fill(Image& canvas, const Rect& rect, Colour colour) {
  const int64_t left = std::max<int64_t>(rect.x, 0), right = std::min(rect.x + rect.width, canvas.width);
  const int64_t top = std::max<int64_t>(rect.y, 0), bottom = std::min(rect.y + rect.height, canvas.height);
  for (int64_t y = top; y < bottom; ++y) {
    for (int64_t x = left; x < right; ++x) std::copy_n(colour.data(), 3, canvas.row(y) + x * 3);
  }
}

void paste(Image& canvas, const Image& picture, int64_t x, int64_t y) {
  const int64_t left = std::max<int64_t>(x, 0), right = std::min(x + picture.width, canvas.width);
  const int64_t top = std::max<int64_t>(y, 0), bottom = std::min(y + picture.height, canvas.height);
  if (left >= right) return;
  for (int64_t row = top; row < bottom; ++row) {
    std::copy_n(picture.row(row - y) + (left - x) * 3, (right - left) * 3, canvas.row(row) + left * 3);
  }
}

}  // namespace lithe::image
