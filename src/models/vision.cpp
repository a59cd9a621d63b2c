#include "models/vision.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/mixed.h"
#include "models/picture_choice.h"
#include "routing/index_tensor.h"

namespace lithe::models {
namespace {

/// The pixels as a tensor over their own memory, which it keeps.  -> [tiles, channels, height, width]
Tensor tensor_of(const std::shared_ptr<const PreparedImage>& image) {
  const image::PixelValues& pixels = image->pixels;
  return at::from_blob(
      const_cast<float*>(pixels.values.data()), {pixels.tiles, pixels.channels, pixels.size.height, pixels.size.width},
      [image](void*) {}, at::TensorOptions(at::kFloat));
}

/// What the class row of the last block saw of each tile, without the rows that are not features.
TilesSeen tiles_seen(const VisionTowerConfig& tower, std::span<const routing::Recorded> class_rows,
                     const Tensor& features) {
  std::vector<int64_t> rows;
  for (int64_t row = tower.rows() - features.size(1); row < tower.rows(); ++row) rows.push_back(row);
  std::vector<Tensor> attention, keys;
  for (const routing::Recorded& tile : class_rows) {
    require(tile.attention && tile.keys, Fault::bad_request,
            "the plan chooses by the attention of the vision tower's class token, but the tower's last attention did "
            "not run; choose another plan");
    attention.push_back(tile.attention->index_select(0, routing::index_tensor(rows, *tile.attention)));
    keys.push_back(routing::keys_at(tile, rows));
  }
  return {at::stack(attention), at::stack(keys), features};
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
  std::vector<const nn::Lora*> loras;    // of the tiles
  std::vector<nn::LoraRows> loras_of_tiles;
  bool asks = false;
  for (const TowerInput& picture : pictures) {
    pixels.push_back(tensor_of(picture.image));
    plans.insert(plans.end(), static_cast<size_t>(picture.image->pixels.tiles), picture.plan);
    if (picture.lora) loras_of_tiles.push_back({picture.lora, std::ssize(loras), std::ssize(plans)});
    loras.resize(plans.size(), picture.lora);
    asks = asks || reads_class_token(picture.plan);
    for (int64_t tile = 0; picture.draw && tile < picture.image->pixels.tiles; ++tile)
      draws.push_back(mixed(*picture.draw, static_cast<uint64_t>(tile)));
  }
  const Tensor together = pixels.size() == 1 ? pixels.front() : at::cat(pixels);  // [tiles of all, 3, height, width]
  std::vector<routing::Recorded> class_rows;
  const VisionTower::Pass pass{
      .observer = observer, .draws = draws, .class_rows = asks ? &class_rows : nullptr, .loras = loras};
  const Tensor features = tower.features(together, plans, pass);
  const int64_t tokens = features.size(1);
  for (nn::LoraRows& rows : loras_of_tiles) rows = {rows.lora, rows.begin * tokens, rows.end * tokens};
  const Tensor projected =
      projector(features.flatten(0, 1), {{}, loras_of_tiles}).unflatten(0, {features.size(0), tokens});
  int64_t first = 0;
  for (size_t i = 0; i < pictures.size(); ++i) {
    const int64_t tiles = pixels[i].size(0);
    ImageRows rows{.image = pictures[i].image, .pixels = pixels[i]};
    rows.features = features.narrow(0, first, tiles);
    rows.projected = projected.narrow(0, first, tiles);
    static_cast<PackedRows&>(rows) = pack(packing, tower.config, newline, rows.views(), rows.projected);
    if (reads_pictures(pictures[i].plan)) {
      // Only what its own plan asks for, whatever the plans of the other pictures are.
      const bool own = reads_class_token(pictures[i].plan);
      const size_t from = own ? static_cast<size_t>(first) : 0, count = own ? static_cast<size_t>(tiles) : 0;
      choose(pictures[i], std::span<const routing::Recorded>(class_rows).subspan(from, count), rows);
    }
    all.push_back(std::move(rows));
    first += tiles;
  }
  return all;
}

/// Scores the rows of a picture, and merges some. class_rows: [tiles], or empty if no rule asks the class token.
void Vision::choose(const TowerInput& picture, std::span<const routing::Recorded> class_rows, ImageRows& rows) const {
  const int64_t tiles = rows.features.size(0), tokens = rows.features.size(1);
  TilesSeen seen{.attention = at::zeros({tiles, tokens}), .keys = Tensor(), .features = rows.features};
  if (!class_rows.empty()) seen = tiles_seen(tower.config, class_rows, rows.features);
  const auto packed = [&](const Tensor& of_tiles, double at_newline) {
    const Tensor line = at::full({of_tiles.size(2)}, at_newline, of_tiles.options());
    return pack(packing, tower.config, line, rows.views(), of_tiles).rows;
  };
  const auto project = [&](const Tensor& x) {
    std::vector<nn::LoraRows> loras;
    if (picture.lora) loras.push_back({picture.lora, 0, x.size(0)});
    return projector(x, {{}, loras});
  };
  choose_in_picture(*picture.plan, seen, project, packed, rows);
}

void visit(Vision& vision, const WeightVisitor& visitor) {
  visit(vision.tower, visitor);
  visit(vision.projector, visitor);
  if (vision.newline) visitor({kNewline, &*vision.newline, {vision.hidden()}});
}

}  // namespace lithe::models
