#include "image/view_parts.h"

#include <algorithm>

#include "image/geometry.h"

namespace lithe::image {
namespace {

Rect all_of(Size size) {
  return {0, 0, size.width, size.height};
}

/// What plain_view of make_views shows of a picture of this size.
Part plain_part(Size picture, const PreprocessConfig& config) {
  Size size = picture;
  if (config.do_resize)
    size = config.shortest_edge ? shortest_edge_size(size, *config.shortest_edge) : config.exact_size;
  return part_shown(config.do_centre_crop ? centre_rect(size, config.crop) : all_of(size), all_of(size));
}

/// The same of a picture that was padded to a square.
Part padded_part(Size picture, const PreprocessConfig& config) {
  const int64_t side = std::max(picture.width, picture.height);
  const Part square = plain_part({side, side}, config);
  const auto length = static_cast<double>(side);
  const double width = static_cast<double>(picture.width), height = static_cast<double>(picture.height);
  const auto left = static_cast<double>((side - picture.width) / 2);
  const auto top = static_cast<double>((side - picture.height) / 2);
  return {(square.x * length - left) / width, (square.y * length - top) / height, square.width * length / width,
          square.height * length / height};
}

ViewParts anyres_parts(Size picture, const PreprocessConfig& config) {
  const Size canvas = select_best_resolution(picture, config.pinpoints);
  Size whole = config.do_resize ? config.exact_size : config.crop;
  if (config.shortest_edge) whole = {*config.shortest_edge, *config.shortest_edge};
  return {.whole = plain_part(whole, config),
          .grid = {canvas.width / config.crop.width, canvas.height / config.crop.height},
          .content = fit_rect(picture, canvas),
          .canvas = canvas};
}

}  // namespace

Part part_shown(const Rect& shown, const Rect& content) {
  const double width = static_cast<double>(content.width), height = static_cast<double>(content.height);
  return {static_cast<double>(shown.x - content.x) / width, static_cast<double>(shown.y - content.y) / height,
          static_cast<double>(shown.width) / width, static_cast<double>(shown.height) / height};
}

ViewParts view_parts(Size picture, const PreprocessConfig& config, int64_t pictures) {
  const Aspect aspect = pictures > 1 ? config.aspect_among_several.value_or(config.aspect) : config.aspect;
  switch (aspect) {
    case Aspect::squash: {
      const Size size = config.exact_size;
      return {.whole = part_shown(config.do_centre_crop ? centre_rect(size, config.crop) : all_of(size), all_of(size))};
    }
    case Aspect::pad:
      return {.whole = padded_part(picture, config)};
    case Aspect::anyres:
      return anyres_parts(picture, config);
    case Aspect::centre_crop:
      break;
  }
  return {.whole = plain_part(picture, config)};
}

}  // namespace lithe::image
