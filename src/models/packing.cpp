#include "models/packing.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/upsample_bilinear2d.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "image/geometry.h"

namespace lithe::models {
namespace {

/// The tiles after the first as one map.  projected: [1 + tiles, patches, hidden] -> [rows, columns, hidden]
Tensor map_of_tiles(const Tensor& projected, image::Size grid, image::Size tile) {
  const int64_t hidden = projected.size(2);
  return projected.narrow(0, 1, projected.size(0) - 1)
      .reshape({grid.height, grid.width, tile.height, tile.width, hidden})
      .permute({0, 2, 1, 3, 4})
      .reshape({grid.height * tile.height, grid.width * tile.width, hidden});
}

/// Python's x // y of positive floats: below floor(x / y) if the exact quotient is just under a whole number, as 20 //
/// y for the y that is nearest to 5 / 3 from above.
int64_t floor_divide(double x, double y) {
  return std::llround((x - std::fmod(x, y)) / y);
}

/// The size to which a map is scaled down if it has too many patches.
image::Size shrunk_size(const Packing& packing, image::Size map, int64_t patches) {
  if (!packing.max_patches) return map;
  const double height = static_cast<double>(map.height), width = static_cast<double>(map.width);
  const double times = std::sqrt(height * width / static_cast<double>(*packing.max_patches * patches));
  if (times <= packing.shrink_above) return map;
  return {std::max<int64_t>(1, floor_divide(width, times)), std::max<int64_t>(1, floor_divide(height, times))};
}

/// map: [rows, columns, hidden], scaled down if it has too many patches.
Tensor shrunk(const Packing& packing, const Tensor& map, int64_t patches) {
  const image::Size size = shrunk_size(packing, {map.size(1), map.size(0)}, patches);
  if (size.width == map.size(1) && size.height == map.size(0)) return map;
  return at::upsample_bilinear2d(map.permute({2, 0, 1}).unsqueeze(0), {size.height, size.width}, false)
      .squeeze(0)
      .permute({1, 2, 0});
}

/// map: [rows, columns, hidden] -> [rows * (columns + 1), hidden], `newline` after every row.
Tensor with_newlines(const Tensor& map, const Tensor& newline) {
  const int64_t rows = map.size(0), columns = map.size(1), hidden = map.size(2);
  return at::cat({map, newline.to(map.scalar_type()).view({1, 1, hidden}).expand({rows, 1, hidden})}, 1)
      .reshape({rows * (columns + 1), hidden});
}

/// Each tile in a stretch of `tokens` rows.
PackedRows pack_flat(const VisionTowerConfig& tower, const image::Views& views, const Tensor& projected) {
  const int64_t tiles = projected.size(0), tokens = projected.size(1);
  PackedRows packed{.rows = projected.reshape({tiles * tokens, projected.size(2)}), .kinds = {}, .heat_views = {}};
  packed.kinds.assign(static_cast<size_t>(tiles * tokens), routing::RowKind::vision_high_res);
  std::fill_n(packed.kinds.begin(), tokens, routing::RowKind::vision);
  const int64_t class_tokens = tokens - tower.patches();
  const image::Size tile = tower.grid();
  if (class_tokens < 0) return packed;  // no row is a patch
  packed.heat_views.push_back({views.tiles.front(), tile.width, tile.height, class_tokens, 0});
  const image::Size grid = views.grid;
  if (tiles == 1 || grid.width * grid.height != tiles - 1) return packed;
  packed.heat_views.push_back({.picture = views.canvas,
                               .grid_w = grid.width * tile.width,
                               .grid_h = grid.height * tile.height,
                               .first_token = tokens + class_tokens,
                               .tile = tile,
                               .tile_stride = tokens});
  return packed;
}

}  // namespace

image::Rect unpadded(image::Size map, image::Size picture, bool rounds) {
  const double width = static_cast<double>(picture.width), height = static_cast<double>(picture.height);
  const double map_width = static_cast<double>(map.width), map_height = static_cast<double>(map.height);
  // transformers: int(round(x, 7)); the original: int(x).
  const auto whole = [rounds](double x) { return static_cast<int64_t>(rounds ? std::round(x * 1e7) / 1e7 : x); };
  if (width / height > map_width / map_height) {
    const int64_t margin = (map.height - whole(height * (map_width / width))) / 2;
    return {0, margin, map.width, map.height - 2 * margin};
  }
  const int64_t margin = (map.width - whole(width * (map_height / height))) / 2;
  return {margin, 0, map.width - 2 * margin, map.height};
}

int64_t packed_rows(const Packing& packing, const VisionTowerConfig& tower, image::Size picture, image::Size grid) {
  const bool unpads = packing.order == Packing::Order::spatial_unpad;
  const int64_t tiles = 1 + grid.width * grid.height;
  if (packing.order == Packing::Order::flat || grid.width == 0) return tiles * tower.tokens() + (unpads ? 1 : 0);
  const image::Size tile = tower.grid();
  image::Size map{grid.width * tile.width, grid.height * tile.height};
  if (!unpads) return tower.patches() + map.width * map.height;
  const image::Rect part = unpadded(map, picture, packing.rounds);
  map = shrunk_size(packing, {part.width, part.height}, tower.patches());
  return tower.patches() + (map.width + 1) * map.height;
}

PackedRows pack(const Packing& packing, const VisionTowerConfig& tower, const std::optional<Tensor>& newline,
                const image::Views& views, const Tensor& projected) {
  const image::Size grid = views.grid;
  if (packing.order == Packing::Order::flat || grid.width == 0) {
    PackedRows packed = pack_flat(tower, views, projected);
    // The original code ends the only tile of a picture with a newline.
    if (packing.order != Packing::Order::spatial_unpad) return packed;
    packed.rows = at::cat({packed.rows, newline->to(packed.rows.scalar_type()).unsqueeze(0)});
    packed.kinds.push_back(routing::RowKind::vision);
    return packed;
  }
  const int64_t base = tower.patches();
  const image::Size tile = tower.grid();
  require(projected.size(1) == base, Fault::bad_file,
          "features with the class token cannot be laid out as a map; take the 'patch' features");
  require(projected.size(0) == 1 + grid.width * grid.height, Fault::internal, "pack: ", projected.size(0),
          " tiles for a grid of ", grid.width, " x ", grid.height);
  Tensor map = map_of_tiles(projected, grid, tile);
  const bool unpads = packing.order == Packing::Order::spatial_unpad;
  image::Rect part{0, 0, map.size(1), map.size(0)};
  if (unpads) part = unpadded({map.size(1), map.size(0)}, views.original, packing.rounds);
  const image::Image& canvas = views.canvas;
  const int64_t patch_w = canvas.width / map.size(1), patch_h = canvas.height / map.size(0);
  map = map.narrow(0, part.y, part.height).narrow(1, part.x, part.width);
  if (unpads) map = shrunk(packing, map, base);
  const int64_t rows = map.size(0), columns = map.size(1);
  const Tensor tail = unpads ? with_newlines(map, *newline) : map.reshape({rows * columns, map.size(2)});
  PackedRows packed{.rows = at::cat({projected.select(0, 0), tail}), .kinds = {}, .heat_views = {}};
  packed.kinds.assign(static_cast<size_t>(base), routing::RowKind::vision);
  packed.kinds.insert(packed.kinds.end(), static_cast<size_t>(tail.size(0)), routing::RowKind::vision_high_res);
  packed.heat_views.push_back({views.tiles.front(), tile.width, tile.height, 0, 0});
  // Of a strip thinner than a patch, only the whole picture is left.
  if (rows == 0 || columns == 0) return packed;
  image::Image shown =
      image::crop(canvas, {part.x * patch_w, part.y * patch_h, part.width * patch_w, part.height * patch_h});
  packed.heat_views.push_back({std::move(shown), columns, rows, base, columns + (unpads ? 1 : 0)});
  return packed;
}

}  // namespace lithe::models
