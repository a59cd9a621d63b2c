#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lithe {

/// A picture of a question. It is read and decoded when it is asked about, as the model wants it decoded.
struct Picture {
  enum class Kind { file, encoded, rgb };
  Kind kind = Kind::file;
  std::string path;                 ///< file: a JPEG, PNG, WebP, GIF or BMP file.
  std::vector<std::uint8_t> bytes;  ///< encoded: the bytes of such a file. rgb: [height, width, 3].
  std::int64_t width = 0;           ///< rgb only, in pixels.
  std::int64_t height = 0;

  static Picture from_file(std::string path) {
    Picture picture;
    picture.path = std::move(path);
    return picture;
  }
  static Picture from_memory(std::vector<std::uint8_t> encoded) {
    Picture picture;
    picture.kind = Kind::encoded;
    picture.bytes = std::move(encoded);
    return picture;
  }
  /// `rgb`: 8 bits a channel, row after row, width * height * 3 bytes.
  static Picture from_rgb(std::vector<std::uint8_t> rgb, std::int64_t width, std::int64_t height) {
    Picture picture;
    picture.kind = Kind::rgb;
    picture.bytes = std::move(rgb);
    picture.width = width;
    picture.height = height;
    return picture;
  }
};

}  // namespace lithe
