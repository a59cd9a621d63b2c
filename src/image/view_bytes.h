#pragma once

#include <cstdint>

#include "image/preprocess.h"

namespace lithe::image {

/// Most memory that make_views takes beside the picture and the views that it returns. 0 if it refuses the picture.
int64_t view_making_bytes(Size picture, const PreprocessConfig& config, int64_t pictures = 1);

}  // namespace lithe::image
