#include "image/image.h"

namespace lithe::image {

Image::Image(int64_t w, int64_t h, uint8_t r, uint8_t g, uint8_t b)
    : width(w), height(h), rgb(static_cast<std::size_t>(w * h * 3), r) {
  if (r == g && g == b) return;
  for (std::size_t i = 0; i < rgb.size(); i += 3) {
    rgb[i + 1] = g;
    rgb[i + 2] = b;
  }
}

}  // namespace lithe::image
