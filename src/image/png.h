#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

#include "image/image.h"

namespace lithe::image {

/// The picture as the bytes of an 8-bit RGB PNG. Throws Error{bad_request} for an empty picture.
std::vector<std::byte> encode_png(const Image& picture);

/// Writes a PNG beside `path` (`path`.part) and renames it, so that no partial file ever stands at `path`.
/// Throws Error{bad_file} when that is impossible.
void write_png(const std::filesystem::path& path, const Image& picture);

}  // namespace lithe::image
