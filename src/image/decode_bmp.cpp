#include <algorithm>
#include <array>
#include <bit>

#include "image/codecs.h"

namespace lithe::image {
namespace {

enum Compression : uint32_t { kRgb = 0, kRle8 = 1, kRle4 = 2, kBitfields = 3 };

struct BmpHeader {
  int64_t width = 0;
  int64_t height = 0;
  bool top_down = false;
  int bits = 0;  ///< 1, 4, 8, 16, 24 or 32 a pixel.
  uint32_t compression = kRgb;
  std::size_t pixels_at = 0;                          ///< Offset of the pixel data.
  std::array<uint32_t, 4> masks{};                    ///< Red, green, blue, alpha of 16- and 32-bit pixels.
  std::array<std::array<uint8_t, 3>, 256> palette{};  ///< RGB; black past its end, as with PIL.
};

uint32_t read_le(const Encoded& file, std::size_t at, int bytes) {
  if (at > file.size() || file.size() - at < static_cast<std::size_t>(bytes)) file.refuse("the BMP file is truncated");
  uint32_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= uint32_t{file.data()[at + i]} << (8 * i);
  return value;
}

void read_masks(const Encoded& file, uint32_t header_bytes, BmpHeader& header) {
  if (header.bits == 16) header.masks = {0x7C00, 0x3E0, 0x1F, 0};
  if (header.bits == 32) header.masks = {0xFF0000, 0xFF00, 0xFF, 0};
  if (header.compression != kBitfields) return;
  for (std::size_t c = 0; c < (header_bytes >= 56 ? 4 : 3); ++c) {
    header.masks[c] = read_le(file, 54 + 4 * c, 4);
    const uint32_t ones = header.masks[c] ? header.masks[c] >> std::countr_zero(header.masks[c]) : 0;
    if ((ones & (ones + 1)) != 0 || (c < 3 && ones == 0)) file.refuse("a BMP file with broken colour masks");
  }
}

void read_palette(const Encoded& file, std::size_t at, uint32_t colours, std::size_t entry_bytes, BmpHeader& header) {
  const uint32_t most = 1u << header.bits;
  const uint32_t count = colours == 0 ? most : std::min(colours, most);
  for (uint32_t i = 0; i < count; ++i) {
    if (header.pixels_at >= at && at + (i + 1) * entry_bytes > header.pixels_at)
      break;  // A palette cut short by the pixels.
    const uint32_t bgr = read_le(file, at + i * entry_bytes, 3);
    header.palette[i] = {static_cast<uint8_t>(bgr >> 16), static_cast<uint8_t>(bgr >> 8), static_cast<uint8_t>(bgr)};
  }
}

void check_kind(const Encoded& file, const BmpHeader& header) {
  const int bits = header.bits;
  const bool depth_known = bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32;
  const bool fits = header.compression == kRgb || (header.compression == kRle8 && bits == 8) ||
                    (header.compression == kRle4 && bits == 4) ||
                    (header.compression == kBitfields && (bits == 16 || bits == 32));
  if (!depth_known || !fits) {
    file.refuse("a BMP file of ", bits, " bits a pixel with compression ", header.compression, " is not read");
  }
}

BmpHeader open_bmp(const Encoded& file) {
  BmpHeader header;
  header.pixels_at = read_le(file, 10, 4);
  const uint32_t header_bytes = read_le(file, 14, 4);
  const bool old = header_bytes == 12;  // OS/2 1.x
  if (!old && (header_bytes < 40 || header_bytes > 1024))
    file.refuse("a BMP file with a header of ", header_bytes, " bytes");
  const auto read_side = [&](std::size_t at) -> int64_t {
    if (old) return read_le(file, at, 2);
    return static_cast<int32_t>(read_le(file, at, 4));
  };
  header.width = read_side(18);
  header.height = read_side(old ? 20 : 22);
  header.top_down = header.height < 0;
  header.height = std::abs(header.height);
  header.bits = static_cast<int>(read_le(file, old ? 24 : 28, 2));
  header.compression = old ? kRgb : read_le(file, 30, 4);
  file.check_size(header.width, header.height);
  check_kind(file, header);
  read_masks(file, header_bytes, header);
  const bool masks_follow = header.compression == kBitfields && header_bytes == 40;
  if (header.bits <= 8) {
    read_palette(file, 14 + header_bytes + (masks_follow ? 12 : 0), old ? 0 : read_le(file, 46, 4), old ? 3 : 4,
                 header);
  }
  return header;
}

/// The part of `pixel` under `mask`, spread to 0..255 (rounded down, as PIL's tables for 5 and 6 bits).
uint8_t channel(uint32_t pixel, uint32_t mask) {
  const int shift = std::countr_zero(mask);
  return static_cast<uint8_t>(uint64_t{(pixel & mask) >> shift} * 255 / (mask >> shift));
}

void read_row(const Encoded& file, const BmpHeader& header, const uint8_t* row, uint8_t* out) {
  for (int64_t x = 0; x < header.width; ++x, out += 3) {
    if (header.bits <= 8) {
      const int64_t bit = x * header.bits;
      const int index = row[bit / 8] >> (8 - header.bits - bit % 8) & ((1 << header.bits) - 1);
      std::copy_n(header.palette[index].data(), 3, out);
    } else if (header.bits == 24) {
      std::reverse_copy(row + x * 3, row + x * 3 + 3, out);
    } else {
      uint32_t pixel = 0;
      for (int i = 0; i < header.bits / 8; ++i) pixel |= uint32_t{row[x * header.bits / 8 + i]} << (8 * i);
      for (int c = 0; c < 3; ++c) out[c] = channel(pixel, header.masks[c]);
      if (header.masks[3] == 0 || file.options.alpha == Alpha::drop) continue;
      const uint8_t opacity = channel(pixel, header.masks[3]);
      for (int c = 0; c < 3; ++c) out[c] = over_white(out[c], opacity);
    }
  }
}

Image read_plain(const Encoded& file, const BmpHeader& header) {
  const std::size_t used = (static_cast<std::size_t>(header.width) * header.bits + 7) / 8;
  const std::size_t stride = (used + 3) / 4 * 4;
  const std::size_t needed = stride * static_cast<std::size_t>(header.height - 1) + used;
  if (header.pixels_at > file.size() || file.size() - header.pixels_at < needed) {
    file.refuse("the BMP file is truncated: ", file.size(), " bytes for ", header.width, " x ", header.height,
                " pixels");
  }
  Image picture(header.width, header.height);
  for (int64_t y = 0; y < header.height; ++y) {
    const int64_t target = header.top_down ? y : header.height - 1 - y;
    read_row(file, header, file.data() + header.pixels_at + stride * static_cast<std::size_t>(y), picture.row(target));
  }
  return picture;
}

/// Run-length decoding of 8- and 4-bit indices. Pixels that a file skips have index 0.
class RunReader {
 public:
  RunReader(const Encoded& file, const BmpHeader& header) : file_(file), header_(header), at_(header.pixels_at) {
    indices_.resize(static_cast<std::size_t>(header.width * header.height));
  }

  std::vector<uint8_t> read() {
    while (y_ < header_.height) {
      const uint32_t count = next(), value = next();
      if (count > 0) {
        for (uint32_t i = 0; i < count; ++i) put(nibble_or_byte(value, i));
      } else if (value == 0) {
        x_ = 0;
        ++y_;
      } else if (value == 1) {
        break;
      } else if (value == 2) {
        x_ += next();
        y_ += next();
      } else {
        read_literal(value);
      }
    }
    return std::move(indices_);
  }

 private:
  uint32_t next() { return read_le(file_, at_++, 1); }

  uint8_t nibble_or_byte(uint32_t value, uint32_t i) const {
    return static_cast<uint8_t>(header_.bits == 8 ? value : i % 2 == 0 ? value >> 4 : value & 15);
  }

  void put(uint8_t index) {
    if (x_ < header_.width && y_ < header_.height) indices_[static_cast<std::size_t>(y_ * header_.width + x_)] = index;
    ++x_;
  }

  void read_literal(uint32_t count) {
    const std::size_t bytes = header_.bits == 8 ? count : (count + 1) / 2;
    uint32_t value = 0;
    for (uint32_t i = 0; i < count; ++i) {
      if (header_.bits == 8 || i % 2 == 0) value = next();
      put(nibble_or_byte(value, i));
    }
    at_ += bytes % 2;  // Runs of literals end on an even byte.
  }

  const Encoded& file_;
  const BmpHeader& header_;
  std::size_t at_;
  int64_t x_ = 0;
  int64_t y_ = 0;
  std::vector<uint8_t> indices_;
};

Image read_runs(const Encoded& file, const BmpHeader& header) {
  const std::vector<uint8_t> indices = RunReader(file, header).read();
  Image picture(header.width, header.height);
  for (int64_t y = 0; y < header.height; ++y) {
    uint8_t* out = picture.row(header.top_down ? y : header.height - 1 - y);
    for (int64_t x = 0; x < header.width; ++x)
      std::copy_n(header.palette[indices[y * header.width + x]].data(), 3, out + x * 3);
  }
  return picture;
}

}  // namespace

Measured measure_bmp(const Encoded& file) {
  const BmpHeader header = open_bmp(file);
  return unscaled(header.width, header.height);
}

Image decode_bmp(const Encoded& file) {
  const BmpHeader header = open_bmp(file);
  return header.compression == kRle8 || header.compression == kRle4 ? read_runs(file, header)
                                                                    : read_plain(file, header);
}

}  // namespace lithe::image
