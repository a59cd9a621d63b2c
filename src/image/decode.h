#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "image/image.h"

namespace lithe::image {

/// What becomes of transparency.
enum class Alpha {
  drop,      ///< Colours as stored, alpha ignored: PIL's convert("RGB"), the original LLaVA code, transformers 4.
  on_white,  ///< Composited over white, as transformers 5 does. RGB files with one transparent colour stay as they are
             ///< there.
};

/// Pillow's MAX_IMAGE_PIXELS, above which it warns of a decompression bomb (and refuses above twice that); we refuse.
/// Pictures of phones with more are JPEG files: those are decoded whole up to twice that, as by Pillow, and scaled down
/// by 2, 4 or 8 in each direction up to twelve times that.
inline constexpr int64_t kMaxPixels = 89'478'485;

struct DecodeOptions {
  Alpha alpha = Alpha::drop;
  int64_t max_pixels = kMaxPixels;
  bool apply_orientation = true;  ///< Turn the picture as its EXIF or XMP orientation (1..8) says.
  bool operator==(const DecodeOptions&) const = default;
};

/// What is known of a picture before it is decoded.
struct Header {
  Size stored;                 ///< Of the file's pixels.
  Size size;                   ///< Of what decode_image gives: upright, and scaled down if the file is too large.
  int64_t scale = 1;           ///< 2, 4 or 8 for a JPEG that is scaled down while it is decoded.
  int64_t decoding_bytes = 0;  ///< Most memory that decode_image takes, its result included.
};

/// Reads the header of a picture. Throws Error{bad_file} for unknown formats, damaged headers, no pixels, or more than
/// may be decoded.
Header read_header(std::span<const std::byte> bytes, const std::string& source, const DecodeOptions& options = {});

/// Decodes JPEG, PNG, WebP, GIF (first frame) or BMP, told apart by their first bytes; the pixels equal Pillow's
/// Image.open(..).convert("RGB"). `source` names the picture in errors.
/// Throws Error{bad_file} for unknown formats, damaged or truncated data, no pixels, or more than `max_pixels` (before
/// anything of that size is allocated), and Error{no_memory}.
Image decode_image(std::span<const std::byte> bytes, const std::string& source, const DecodeOptions& options = {});

/// The bytes of a picture's file, at most 256 MiB. Throws Error{bad_file}, Error{no_memory}.
std::vector<std::byte> read_image_bytes(const std::filesystem::path& path);

/// decode_image over a file. Throws Error.
Image read_image(const std::filesystem::path& path, const DecodeOptions& options = {});

}  // namespace lithe::image
