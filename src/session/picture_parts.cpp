#include "session/picture_parts.h"

#include "models/model.h"

namespace lithe::session {
namespace {

/// What the patches of the canvas that become rows show. A tile may end with pixels that no patch covers; they count as
/// parts of its patches, so that no patch is off by more than these.
image::Part packed_part(const models::Vision& vision, image::Size picture, const image::ViewParts& parts) {
  const image::Size tile = vision.tower.config.grid();
  const image::Size map{parts.grid.width * tile.width, parts.grid.height * tile.height};
  image::Rect rows{0, 0, map.width, map.height};
  if (vision.packing.order == models::Packing::Order::spatial_unpad)
    rows = models::unpadded(map, picture, vision.packing.rounds);
  const image::Part canvas = image::part_shown({0, 0, parts.canvas.width, parts.canvas.height}, parts.content);
  const image::Part of_canvas = image::part_shown(rows, {0, 0, map.width, map.height});
  return {canvas.x + of_canvas.x * canvas.width, canvas.y + of_canvas.y * canvas.height, of_canvas.width * canvas.width,
          of_canvas.height * canvas.height};
}

}  // namespace

std::vector<image::Part> picture_parts(const Session& session, image::Size picture, int64_t pictures) {
  const models::Vision& vision = session.model().seeing();
  const image::ViewParts parts = image::view_parts(picture, vision.preprocess, pictures);
  if (parts.grid.width == 0) return {parts.whole};
  return {parts.whole, packed_part(vision, picture, parts)};
}

}  // namespace lithe::session
