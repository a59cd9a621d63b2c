#include "image/view_bytes.h"

#include <algorithm>

#include "image/geometry.h"

namespace lithe::image {
namespace {

constexpr int64_t kPixelBytes = 3;

int64_t area(Size size) {
  return size.width * size.height;
}

}  // namespace

int64_t view_making_bytes(Size picture, const PreprocessConfig& config, int64_t pictures) {
  const Aspect aspect = pictures > 1 ? config.aspect_among_several.value_or(config.aspect) : config.aspect;
  if (aspect == Aspect::pad && picture.width != picture.height) {
    // The square, then its columns as narrow as the tile, then the tile.
    const int64_t side = std::max(picture.width, picture.height);
    if (side > kMaxPaddedSide) return 0;
    return kPixelBytes * (side * side + side * config.crop.width + area(config.crop));
  }
  const int64_t result =
      area(aspect == Aspect::anyres ? select_best_resolution(picture, config.pinpoints) : config.crop);
  // Between its two passes, a resize holds no more than it begins or ends with.
  return kPixelBytes * (std::max(area(picture), result) + result);
}

}  // namespace lithe::image
