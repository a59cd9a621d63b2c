#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "image/image.h"

namespace lithe::image {

/// What becomes of transparency.
enum class Alpha {
  drop,      ///< Colours as stored, alpha ignored: PIL's convert("RGB"), the original LLaVA code, transformers 4.
  on_white,  ///< Composited over white, as transformers 5 does. RGB files with one transparent colour stay as they are
             ///< there.
};

/// Pillow's MAX_IMAGE_PIXELS, above which it warns of a decompression bomb (and refuses above twice that); we refuse.
inline constexpr int64_t kMaxPixels = 89'478'485;

struct DecodeOptions {
  Alpha alpha = Alpha::drop;
  int64_t max_pixels = kMaxPixels;
  bool apply_orientation = true;  ///< Turn the picture as its EXIF orientation (1..8) says.
};

/// Decodes JPEG, PNG, WebP, GIF (first frame) or BMP, told apart by their first bytes; the pixels equal Pillow's
/// Image.open(..).convert("RGB"). `source` names the picture in errors.
/// Throws Error{bad_file} for unknown formats, damaged or truncated data, no pixels, or more than `max_pixels` (before
/// anything of that size is allocated).
Image decode_image(std::span<const std::byte> bytes, const std::string& source, const DecodeOptions& options = {});

/// decode_image over a file of at most 256 MiB. Throws Error{bad_file}.
Image read_image(const std::filesystem::path& path, const DecodeOptions& options = {});

}  // namespace lithe::image
