#include "models/vision.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/mixed.h"

namespace lithe::models {
namespace {

/// The pixels as a tensor over their own memory, which it keeps.  -> [tiles, channels, height, width]
Tensor tensor_of(const std::shared_ptr<const PreparedImage>& image) {
  const image::PixelValues& pixels = image->pixels;
  return at::from_blob(
      const_cast<float*>(pixels.values.data()), {pixels.tiles, pixels.channels, pixels.size.height, pixels.size.width},
      [image](void*) {}, at::TensorOptions(at::kFloat));
}

}  // namespace

PreparedImage Vision::prepare(const image::Image& picture, int64_t pictures) const {
  PreparedImage image{.views = image::make_views(picture, preprocess, pictures), .pixels = {}};
  image.pixels = image::normalise(image.views, preprocess);
  return image;
}

int64_t Vision::most_rows(int64_t tiles) const {
  const image::Size tile = tower.config.grid();
  int64_t map = (tiles - 1) * tower.config.tokens();
  if (packing.max_patches && packing.order == Packing::Order::spatial_unpad) {
    const double most = packing.shrink_above * packing.shrink_above * static_cast<double>(*packing.max_patches);
    // A strip that is scaled down to one patch across may be as long as the map.
    const int64_t shrunk = static_cast<int64_t>(std::ceil(most * static_cast<double>(tower.config.patches()))) +
                           tiles * std::max(tile.width, tile.height);
    map = std::min(map, shrunk);
  }
  return tower.config.tokens() + map + tiles * tile.height;  // at most one newline for each row of patches
}

ImageRows Vision::encode(PreparedImage image, const plan::Plan* plan, const routing::Observer& observer) const {
  const TowerInput input{std::make_shared<const PreparedImage>(std::move(image)), plan};
  return std::move(encode({&input, 1}, observer).front());
}

std::vector<ImageRows> Vision::encode(std::span<const TowerInput> pictures, const routing::Observer& observer) const {
  std::vector<ImageRows> all;
  std::vector<Tensor> pixels;
  std::vector<const plan::Plan*> plans;  // of the tiles
  std::vector<uint64_t> draws;           // of the tiles, if the pictures have some
  for (const TowerInput& picture : pictures) {
    pixels.push_back(tensor_of(picture.image));
    plans.insert(plans.end(), static_cast<size_t>(picture.image->pixels.tiles), picture.plan);
    for (int64_t tile = 0; picture.draw && tile < picture.image->pixels.tiles; ++tile)
      draws.push_back(mixed(*picture.draw, static_cast<uint64_t>(tile)));
  }
  const Tensor together = pixels.size() == 1 ? pixels.front() : at::cat(pixels);  // [tiles of all, 3, height, width]
  const Tensor features = tower.features(together.to(tower.positions.device()), plans, observer, draws);
  const int64_t tokens = features.size(1);
  const Tensor projected = projector(features.flatten(0, 1)).unflatten(0, {features.size(0), tokens});
  int64_t first = 0;
  for (size_t i = 0; i < pictures.size(); ++i) {
    const int64_t tiles = pixels[i].size(0);
    ImageRows rows{.image = pictures[i].image, .pixels = pixels[i]};
    rows.features = features.narrow(0, first, tiles);
    rows.projected = projected.narrow(0, first, tiles);
    static_cast<PackedRows&>(rows) = pack(packing, tower.config, newline, rows.views(), rows.projected);
    all.push_back(std::move(rows));
    first += tiles;
  }
  return all;
}

void visit(Vision& vision, const WeightVisitor& visitor) {
  visit(vision.tower, visitor);
  visit(vision.projector, visitor);
  if (vision.newline) visitor({kNewline, &*vision.newline, {vision.hidden()}});
}

}  // namespace lithe::models
