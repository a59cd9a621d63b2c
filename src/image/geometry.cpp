#include "image/geometry.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "image/canvas.h"

namespace lithe::image {
namespace {

int64_t floor_half(int64_t value) {
  return value >> 1;
}

}  // namespace

Image pad_to_square(const Image& picture, std::array<uint8_t, 3> background) {
  const int64_t side = std::max(picture.width, picture.height);
  if (picture.width == picture.height) return picture;
  require(side <= kMaxPaddedSide, Fault::bad_request, "a picture of ", picture.width, " x ", picture.height,
          " pixels is too long to be padded to a square; at most ", kMaxPaddedSide, " pixels a side; shrink it first");
  Image square(side, side, background[0], background[1], background[2]);
  paste(square, picture, (side - picture.width) / 2, (side - picture.height) / 2);
  return square;
}

Image crop(const Image& picture, Rect rect) {
  Image out(rect.width, rect.height);
  paste(out, picture, -rect.x, -rect.y);
  return out;
}

Rect centre_rect(Size picture, Size size) {
  // If the picture is smaller, transformers pads by ceil(missing / 2) first: floor of the negative half.
  return {floor_half(picture.width - size.width), floor_half(picture.height - size.height), size.width, size.height};
}

Size shortest_edge_size(Size picture, int64_t edge) {
  const auto scaled = [&](int64_t longer, int64_t shorter) {
    return static_cast<int64_t>(static_cast<double>(edge * longer) / static_cast<double>(shorter));
  };
  if (picture.width <= picture.height) return {edge, scaled(picture.height, picture.width)};
  return {scaled(picture.width, picture.height), edge};
}

Size select_best_resolution(Size picture, const std::vector<Size>& pinpoints) {
  require(!pinpoints.empty(), Fault::bad_request, "anyres needs at least one pinpoint");
  const auto width = static_cast<double>(picture.width), height = static_cast<double>(picture.height);
  Size best;
  int64_t most_kept = -1, least_wasted = 0;
  for (const Size& pinpoint : pinpoints) {
    const double scale =
        std::min(static_cast<double>(pinpoint.width) / width, static_cast<double>(pinpoint.height) / height);
    const int64_t scaled = static_cast<int64_t>(width * scale) * static_cast<int64_t>(height * scale);
    const int64_t kept = std::min(scaled, picture.width * picture.height);
    const int64_t wasted = pinpoint.width * pinpoint.height - kept;
    if (kept > most_kept || (kept == most_kept && wasted < least_wasted)) {
      best = pinpoint;
      most_kept = kept;
      least_wasted = wasted;
    }
  }
  return best;
}

Rect fit_rect(Size picture, Size canvas) {
  const double scale_w = static_cast<double>(canvas.width) / static_cast<double>(picture.width);
  const double scale_h = static_cast<double>(canvas.height) / static_cast<double>(picture.height);
  const auto scaled = [](int64_t length, double scale, int64_t limit) {
    return std::min(static_cast<int64_t>(std::ceil(static_cast<double>(length) * scale)), limit);
  };
  Rect rect{0, 0, canvas.width, canvas.height};
  if (scale_w < scale_h) {
    rect.height = scaled(picture.height, scale_w, canvas.height);
  } else {
    rect.width = scaled(picture.width, scale_h, canvas.width);
  }
  rect.x = (canvas.width - rect.width) / 2;
  rect.y = (canvas.height - rect.height) / 2;
  return rect;
}

Image resize_and_pad(const Image& picture, Size canvas, Resample resample) {
  const Rect rect = fit_rect(picture.size(), canvas);
  Image out(canvas.width, canvas.height);
  paste(out, resize(picture, {rect.width, rect.height}, resample), rect.x, rect.y);
  return out;
}

std::vector<Image> cut_tiles(const Image& canvas, Size tile) {
  require(tile.width > 0 && tile.height > 0 && canvas.width % tile.width == 0 && canvas.height % tile.height == 0,
          Fault::bad_file, "a pinpoint of ", canvas.width, " x ", canvas.height, " pixels can't be cut into tiles of ",
          tile.width, " x ", tile.height, "; its sides must be multiples of the crop size");
  std::vector<Image> tiles;
  for (int64_t y = 0; y < canvas.height; y += tile.height) {
    for (int64_t x = 0; x < canvas.width; x += tile.width)
      tiles.push_back(crop(canvas, {x, y, tile.width, tile.height}));
  }
  return tiles;
}

}  // namespace lithe::image
