#include "models/vision.h"

#include <ATen/ops/empty.h>

#include <cstring>
#include <utility>

namespace lithe::models {
namespace {

/// -> [tiles, channels, height, width]
Tensor tensor_of(const image::PixelValues& pixels) {
  Tensor tensor = at::empty({pixels.tiles, pixels.channels, pixels.side, pixels.side}, at::kFloat);
  std::memcpy(tensor.mutable_data_ptr<float>(), pixels.values.data(), pixels.values.size() * sizeof(float));
  return tensor;
}

}  // namespace

PreparedImage Vision::prepare(const image::Image& picture, int64_t pictures) const {
  PreparedImage image{.views = image::make_views(picture, preprocess, pictures), .pixels = {}};
  image.pixels = image::normalise(image.views, preprocess);
  return image;
}

ImageRows Vision::encode(PreparedImage prepared, const plan::Plan* plan, const routing::Observer& observer) const {
  ImageRows image;
  image.pixels = tensor_of(prepared.pixels);
  image.features = tower.features(image.pixels.to(tower.positions.device()), plan, observer);
  const int64_t tiles = image.features.size(0), tokens = image.features.size(1);
  const Tensor projected = projector(image.features.view({tiles * tokens, tower.config.width}));
  image.projected = projected.view({tiles, tokens, projected.size(1)});
  static_cast<PackedRows&>(image) = pack(packing, tower.config, newline, prepared.views, image.projected);
  image.views = std::move(prepared.views);
  return image;
}

void visit(Vision& vision, const WeightVisitor& visitor) {
  visit(vision.tower, visitor);
  visit(vision.projector, visitor);
  if (vision.newline) visitor({"image_newline", *vision.newline, {vision.hidden()}});
}

}  // namespace lithe::models
