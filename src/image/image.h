#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace lithe::image {

/// Width before height, in pixels, everywhere in this folder (as PIL's Image.size; transformers says height first).
struct Size {
  int64_t width = 0;
  int64_t height = 0;
  bool operator==(const Size&) const = default;
};

/// A rectangle of pixels: its upper left corner and its size.
struct Rect {
  int64_t x = 0;
  int64_t y = 0;
  int64_t width = 0;
  int64_t height = 0;
  bool operator==(const Rect&) const = default;
};

/// An 8-bit RGB picture, row-major: byte (y * width + x) * 3 + channel.
struct Image {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> rgb;  ///< [height, width, 3]

  Image() = default;
  /// A picture of one colour.
  Image(int64_t w, int64_t h, uint8_t r = 0, uint8_t g = 0, uint8_t b = 0);
  /// Pixels that are there already.  [h, w, 3]
  Image(int64_t w, int64_t h, std::vector<uint8_t> pixels) : width(w), height(h), rgb(std::move(pixels)) {}

  Size size() const { return {width, height}; }
  uint8_t* row(int64_t y) { return rgb.data() + y * width * 3; }
  const uint8_t* row(int64_t y) const { return rgb.data() + y * width * 3; }
  bool operator==(const Image&) const = default;
};

}  // namespace lithe::image
