#pragma once

#include <cstdint>
#include <optional>

#include "image/image.h"

namespace lithe::image {

/// Filters by PIL's numbers, which `resample` of preprocessor_config.json uses.
enum class Resample { nearest = 0, lanczos = 1, bilinear = 2, bicubic = 3, box = 4, hamming = 5 };

/// Equals Image.resize((width, height), resample) of Pillow 13 on 8-bit pictures to the grey level: the filter is
/// widened when shrinking, coefficients have 22 bits, a horizontal pass is followed by a vertical one with rounding to
/// 8 bits between, and a side that keeps its length is not filtered. `part`: only this rectangle of the result is
/// computed and returned. Throws Error{bad_request} for empty pictures or sizes, and for more than 2^28 pixels of
/// result.
Image resize(const Image& picture, Size size, Resample resample, std::optional<Rect> part = std::nullopt);

}  // namespace lithe::image
