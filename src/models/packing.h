#pragma once

#include <ATen/core/Tensor.h>

#include "image/image.h"
#include "models/model.h"

namespace lithe::models {

/// The patches of a map that hold the picture and not its black margins. Unit: patches.
/// `map`: the whole map; `picture`: the size of the picture in pixels. `rounds` as in Packing.
image::Rect unpadded(image::Size map, image::Size picture, bool rounds);

/// Packs the projected tiles of one picture: fills `rows`, `kinds` and `heat_views` from `views` and `projected`.
/// `newline`: [hidden]; needed by Packing::Order::spatial_unpad.
void pack(const Packing& packing, const VisionTowerConfig& tower, const std::optional<Tensor>& newline,
          ImageRows& image);

}  // namespace lithe::models
