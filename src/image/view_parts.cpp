#include "image/view_parts.h"

#include <algorithm>

#include "image/geometry.h"
#include "image/view_sizes.h"

namespace lithe::image {
namespace {

Rect all_of(Size size) {
  return {0, 0, size.width, size.height};
}

/// What resize_and_crop of make_views shows of a picture that is resized to `size`.
Part cropped_part(Size size, const PreprocessConfig& config) {
  return part_shown(config.do_centre_crop ? centre_rect(size, config.crop) : all_of(size), all_of(size));
}

/// What plain_view of make_views shows of a picture of this size.
Part plain_part(Size picture, const PreprocessConfig& config) {
  return cropped_part(plain_size(picture, config), config);
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
  return {.whole = plain_part(squashed_size(config), config),
          .grid = grid_of(canvas, config),
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
  switch (aspect_among(config, pictures)) {
    case Aspect::squash:
      return {.whole = cropped_part(config.exact_size, config)};
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
