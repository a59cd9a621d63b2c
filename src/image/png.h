#pragma once

#include <cstddef>
#include <vector>

#include "image/image.h"

namespace lithe::image {

/// The picture as the bytes of an 8-bit RGB PNG. Throws Error{bad_request} for an empty picture.
std::vector<std::byte> encode_png(const Image& picture);

}  // namespace lithe::image
