#include <algorithm>
#include <cstring>

#include "image/codecs.h"

namespace lithe::image {
namespace {

using Bytes = std::span<const std::byte>;

/// `bytes` bytes at `at` as a number; 0 past the end.
uint32_t number(Bytes data, std::size_t at, int bytes, bool big_endian) {
  if (at > data.size() || data.size() - at < static_cast<std::size_t>(bytes)) return 0;
  uint32_t value = 0;
  for (int i = 0; i < bytes; ++i) {
    const int from = big_endian ? i : bytes - 1 - i;
    value = value << 8 | std::to_integer<uint32_t>(data[at + from]);
  }
  return value;
}

bool matches(Bytes data, std::size_t at, const char* text, std::size_t length) {
  return at <= data.size() && data.size() - at >= length && std::memcmp(data.data() + at, text, length) == 0;
}

/// Tag 0x0112 of the first directory of a TIFF header, the body of an EXIF block.
int orientation_of_tiff(Bytes tiff) {
  if (matches(tiff, 0, "Exif\0\0", 6)) tiff = tiff.subspan(6);
  const bool big_endian = matches(tiff, 0, "MM\0*", 4);
  if (!big_endian && !matches(tiff, 0, "II*\0", 4)) return 1;
  const std::size_t directory = number(tiff, 4, 4, big_endian);
  const uint32_t entries = number(tiff, directory, 2, big_endian);
  for (uint32_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + std::size_t{12} * i;
    if (entry + 12 > tiff.size()) break;
    if (number(tiff, entry, 2, big_endian) != 0x0112) continue;
    const uint32_t type = number(tiff, entry + 2, 2, big_endian);
    const uint32_t value = number(tiff, entry + 8, type == 4 ? 4 : 2, big_endian);  // A SHORT, by some writers a LONG.
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace

int orientation_of_jpeg(const Encoded& file) {
  std::size_t at = 2;
  while (at + 4 <= file.size() && file.data()[at] == 0xFF) {
    const uint8_t marker = file.data()[at + 1];
    if (marker == 0xFF) {  // Fill bytes may stand before a marker.
      ++at;
      continue;
    }
    if (marker == 0xDA || marker == 0xD9) break;
    const std::size_t length = number(file.bytes, at + 2, 2, true);
    if (length < 2) break;
    if (marker == 0xE1 && matches(file.bytes, at + 4, "Exif\0\0", 6)) {
      return orientation_of_tiff(file.bytes.subspan(at + 4, std::min(length - 2, file.size() - at - 4)));
    }
    at += 2 + length;
  }
  return 1;
}

int orientation_of_png(const Encoded& file) {
  for (std::size_t at = 8; at + 12 <= file.size();) {
    const std::size_t length = number(file.bytes, at, 4, true);
    if (length > file.size() - at - 12) break;
    if (matches(file.bytes, at + 4, "eXIf", 4)) return orientation_of_tiff(file.bytes.subspan(at + 8, length));
    at += 12 + length;
  }
  return 1;
}

int orientation_of_webp(const Encoded& file) {
  for (std::size_t at = 12; at + 8 <= file.size();) {
    const std::size_t length = number(file.bytes, at + 4, 4, false);
    if (length > file.size() - at - 8) break;
    if (matches(file.bytes, at, "EXIF", 4)) return orientation_of_tiff(file.bytes.subspan(at + 8, length));
    at += 8 + length + length % 2;
  }
  return 1;
}

Image turn_upright(Image picture, int orientation) {
  if (orientation < 2 || orientation > 8) return picture;
  const bool transposed = orientation >= 5;
  const bool mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image out(transposed ? picture.height : picture.width, transposed ? picture.width : picture.height);
  for (int64_t y = 0; y < out.height; ++y) {
    for (int64_t x = 0; x < out.width; ++x) {
      const int64_t u = transposed ? y : x, v = transposed ? x : y;
      const int64_t from_x = mirror_x ? picture.width - 1 - u : u, from_y = mirror_y ? picture.height - 1 - v : v;
      std::copy_n(picture.row(from_y) + from_x * 3, 3, out.row(y) + x * 3);
    }
  }
  return out;
}

}  // namespace lithe::image
