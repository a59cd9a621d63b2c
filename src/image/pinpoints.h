#pragma once

#include <cstdint>
#include <vector>

#include "base/json.h"
#include "image/preprocess.h"

namespace lithe::image {

/// `image_grid_pinpoints` of a config, as (width, height): a list of pairs, the same as the text of a Python literal
/// ("[(336, 672), (672, 336)]"), or a range in tiles ("(1x1),...,(6x6)"). Throws Error{bad_file}.
std::vector<Size> read_pinpoints(const JsonView& config, Dialect dialect, Size tile);

/// Those of transformers' LlavaNextImageProcessor if its file names none: tiles of 336 pixels.
std::vector<Size> default_pinpoints();

}  // namespace lithe::image
