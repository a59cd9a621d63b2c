#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "image/image.h"
#include "image/preprocess.h"

namespace lithe::models {

/// A picture as METER's evaluation has it: the short side scaled to `side` (bicubic), then the middle, with the mean
/// and deviation of CLIP.  -> [1, 3, side, side] float32. Throws Error{bad_request} for pictures that cannot be
/// resized.
at::Tensor meter_pixels(const image::Image& picture, int64_t side);

/// The two halves of it. The first touches no tensor, so any thread may run it. The tensor of the second keeps the
/// values.
image::PixelValues meter_pixel_values(const image::Image& picture, int64_t side);
at::Tensor pixel_tensor(std::shared_ptr<const image::PixelValues> values);

}  // namespace lithe::models
