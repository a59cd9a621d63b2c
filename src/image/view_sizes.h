#pragma once

#include <cstdint>

#include "image/preprocess.h"

namespace lithe::image {

// The choices of make_views that view_parts must make as well.

/// The aspect of each picture of a prompt with `pictures` of them.
Aspect aspect_among(const PreprocessConfig& config, int64_t pictures);

/// What the image processor by itself resizes a picture to, before it cuts the centre.
Size plain_size(Size picture, const PreprocessConfig& config);

/// anyres: what the whole picture is squashed to before the image processor takes it.
Size squashed_size(const PreprocessConfig& config);

/// Tiles of a canvas across and down.
Size grid_of(Size canvas, const PreprocessConfig& config);

}  // namespace lithe::image
