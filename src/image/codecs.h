#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "image/decode.h"

/// The codecs of decode_image, one a file. Private to this folder.
namespace lithe::image {

/// What a picture takes while it is decoded and turned, except for a JPEG's coefficients.
inline constexpr int64_t kDecodingBytesPerPixel = 10;

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

  /// Throws Error{no_memory}.
  [[noreturn]] void refuse_memory() const;

  /// Throws unless there is a pixel and at most `most` of them. To be called before anything of that size is allocated.
  void check_size(int64_t width, int64_t height, int64_t most) const;
  void check_size(int64_t width, int64_t height) const { check_size(width, height, options.max_pixels); }
};

/// What a header says about the pixels that the decoder gives.
struct Measured {
  Size stored;
  Size decoded;  ///< As the decoder gives it, not yet upright.
  int64_t scale = 1;
  int64_t decoding_bytes = 0;
};

/// Of a codec that decodes the picture as it is stored.
Measured unscaled(int64_t width, int64_t height);

Measured measure_jpeg(const Encoded& file);
Measured measure_png(const Encoded& file);
Measured measure_webp(const Encoded& file);
Measured measure_gif(const Encoded& file);
Measured measure_bmp(const Encoded& file);

Image decode_jpeg(const Encoded& file);
Image decode_png(const Encoded& file);
Image decode_webp(const Encoded& file);
Image decode_gif(const Encoded& file);
Image decode_bmp(const Encoded& file);

/// The parts of a file that may say how its picture is turned.
struct Metadata {
  std::optional<std::string> exif;  ///< A TIFF header and its directories, perhaps after "Exif\0\0".
  std::string xmp;                  ///< XML; empty if there is none.
};

/// What Pillow finds in such a file. Damaged parts are left out.
Metadata metadata_of_jpeg(const Encoded& file);
Metadata metadata_of_png(const Encoded& file);
Metadata metadata_of_webp(const Encoded& file);

/// The orientation 1..8 that Pillow's exif_transpose applies: the EXIF tag, or, when EXIF has none, the XMP property.
int orientation_of(const Metadata& metadata);

/// The tag Orientation of EXIF as Pillow reads it.
struct ExifOrientation {
  bool readable = true;  ///< False if the block does not begin with a TIFF header; XMP is then not looked at.
  bool present = false;
  double value = 0;  ///< 0 if the tag is not a number.
};
ExifOrientation exif_orientation(std::string_view exif);

/// Turns and mirrors a picture upright, as PIL's ImageOps.exif_transpose. Orientation 1..8.
Image turn_upright(Image picture, int orientation);

/// One channel over white in the arithmetic of PIL's alpha_composite.
uint8_t over_white(uint8_t value, uint8_t alpha);

/// Makes a picture of RGBA pixels; reuses their memory.
Image flatten(std::vector<uint8_t> rgba, int64_t width, int64_t height, Alpha alpha);

}  // namespace lithe::image
