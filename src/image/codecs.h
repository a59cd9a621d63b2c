#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/error.h"
#include "image/decode.h"

/// The codecs behind decode_image, one a file. Private to this folder.
namespace lithe::image {

/// An encoded picture, and what is wanted of it.
struct Encoded {
  std::span<const std::byte> bytes;
  const std::string& source;
  const DecodeOptions& options;

  const uint8_t* data() const { return reinterpret_cast<const uint8_t*>(bytes.data()); }
  std::size_t size() const { return bytes.size(); }

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(Fault::bad_file, source, ": ", parts...);
  }

  /// Throws unless 1 <= width * height <= max_pixels. To be called before anything of that size is allocated.
  void check_size(int64_t width, int64_t height) const;
};

Image decode_jpeg(const Encoded& file);
Image decode_png(const Encoded& file);
Image decode_webp(const Encoded& file);
Image decode_gif(const Encoded& file);
Image decode_bmp(const Encoded& file);

/// The EXIF orientation of a JPEG, PNG or WebP file, 1..8; 1 where there is none or it is damaged.
int orientation_of_jpeg(const Encoded& file);
int orientation_of_png(const Encoded& file);
int orientation_of_webp(const Encoded& file);

/// Turns and mirrors a picture upright, as PIL's ImageOps.exif_transpose. Orientation 1..8.
Image turn_upright(Image picture, int orientation);

/// One channel over white in the arithmetic of PIL's alpha_composite.
uint8_t over_white(uint8_t value, uint8_t alpha);

/// Makes a picture of RGBA pixels; reuses their memory.
Image flatten(std::vector<uint8_t> rgba, int64_t width, int64_t height, Alpha alpha);

}  // namespace lithe::image
