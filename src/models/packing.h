#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "image/heat_map.h"
#include "image/image.h"
#include "image/preprocess.h"
#include "models/parts/vision_tower.h"
#include "routing/batch.h"

namespace lithe::models {

/// How the features of a picture's tiles become rows.
struct Packing {
  enum class Order {
    flat,           ///< Tile after tile.
    spatial,        ///< The whole picture, then the tiles as one map, row by row.
    spatial_unpad,  ///< The same without the map's black margins, and a newline row after each row of the map.
  };
  Order order = Order::flat;
  std::optional<int64_t>
      max_patches;             ///< The map is scaled down to about this many tiles' worth of patches (original LLaVA).
  double shrink_above = 1.01;  ///< ... if its side is more than this times too long.
  bool rounds = false;         ///< transformers rounds the size of the map without margins, the original truncates it.
};

/// The rows of one picture.
struct PackedRows {
  Tensor rows;                              ///< [vision rows, hidden], newline rows included
  std::vector<routing::RowKind> kinds;      ///< [vision rows] vision or vision_high_res
  std::vector<image::HeatView> heat_views;  ///< Places of each view's patches among the rows.
  /// [vision rows] how much each is worth keeping (picture_choice.h); empty if no rule of the plan asks.
  std::vector<float> scores;
};

/// The patches of a map that hold the picture and not its black margins. Unit: patches.
/// `map`: the whole map; `picture`: the size of the picture in pixels. `rounds` as in Packing.
image::Rect unpadded(image::Size map, image::Size picture, bool rounds);

/// How many rows pack() makes of a picture of this size. `grid`: image::Views::grid.
int64_t packed_rows(const Packing& packing, const VisionTowerConfig& tower, image::Size picture, image::Size grid);

/// Packs the tiles of one picture.  projected: [tiles, tokens, hidden]
/// `newline`: [hidden]; needed by Packing::Order::spatial_unpad.
PackedRows pack(const Packing& packing, const VisionTowerConfig& tower, const std::optional<Tensor>& newline,
                const image::Views& views, const Tensor& projected);

}  // namespace lithe::models
