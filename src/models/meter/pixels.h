#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "image/image.h"

namespace lithe::models {

/// A picture as METER's evaluation has it: the short side scaled to `side` (bicubic), then the middle, with the mean
/// and deviation of CLIP.  -> [1, 3, side, side] float32. Throws Error{bad_request} for pictures that cannot be
/// resized.
at::Tensor meter_pixels(const image::Image& picture, int64_t side);

}  // namespace lithe::models
