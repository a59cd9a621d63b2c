#include "image/heat_views.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "image/resize.h"

namespace lithe::image {
namespace {

constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxGrid = 1024;
constexpr double kThinnest = 8;  // How much higher than wide a view is shown at most, and half of the reverse.
constexpr double kLong = 2.5;    // Width over height of views that go below others.

bool within(const std::vector<int64_t>& tokens, int64_t total) {
  return std::all_of(tokens.begin(), tokens.end(), [total](int64_t token) { return token >= 0 && token < total; });
}

bool fits(const HeatView& view, int64_t total) {
  const auto sane = [](int64_t count) { return count > 0 && count <= kMaxGrid; };
  if (view.picture.width <= 0 || view.picture.height <= 0 || !sane(view.grid_w) || !sane(view.grid_h)) return false;
  if (view.first_token < 0 || view.first_token >= total || view.row_stride < 0 || view.row_stride > 2 * kMaxGrid)
    return false;
  if (view.tile == Size{}) {
    if (view.row_stride != 0 && view.row_stride < view.grid_w) return false;
  } else if (!sane(view.tile.width) || !sane(view.tile.height) || view.grid_w % view.tile.width != 0 ||
             view.grid_h % view.tile.height != 0 || view.tile_stride < view.tile.width * view.tile.height ||
             view.tile_stride > total) {
    return false;
  }
  return view.token_at(view.grid_w - 1, view.grid_h - 1) < total;
}

/// Width over height as shown: strips are stretched so that what happened to their patches can be seen.
double aspect_of(const HeatView& view) {
  return std::clamp(static_cast<double>(view.picture.width) / static_cast<double>(view.picture.height), 1.0 / kThinnest,
                    2.0 * kThinnest);
}

/// The largest size within the box that has the view's shape.
Size fitted(const HeatView& view, int64_t width, int64_t most_height) {
  const double aspect = aspect_of(view);
  const double height = std::min(static_cast<double>(width) / aspect, static_cast<double>(most_height));
  return {std::clamp<int64_t>(std::lround(height * aspect), 1, width),
          std::clamp<int64_t>(std::lround(height), 1, most_height)};
}

/// Calls change(pixel, token) for every pixel.
template <class Change>
void for_each_pixel(Image& drawn, const HeatView& view, const Change& change) {
  for (int64_t y = 0; y < drawn.height; ++y) {
    const int64_t row = y * view.grid_h / drawn.height;
    for (int64_t x = 0; x < drawn.width; ++x)
      change(drawn.row(y) + x * 3, static_cast<std::size_t>(view.token_at(x * view.grid_w / drawn.width, row)));
  }
}

int lightness(const uint8_t* pixel) {
  return (299 * pixel[0] + 587 * pixel[1] + 114 * pixel[2]) / 1000;
}

}  // namespace

int64_t HeatView::token_at(int64_t column, int64_t row) const {
  if (tile == Size{}) return first_token + row * (row_stride == 0 ? grid_w : row_stride) + column;
  const int64_t number = row / tile.height * (grid_w / tile.width) + column / tile.width;
  return first_token + number * tile_stride + row % tile.height * tile.width + column % tile.width;
}

void check_heat_map(const std::vector<HeatView>& views, const std::vector<LayerKept>& layers) {
  require(!views.empty(), Fault::bad_request, "a heat map needs a picture");
  require(static_cast<int64_t>(layers.size()) <= kMaxLayers, Fault::bad_request, "a heat map shows at most ",
          kMaxLayers, " layers, got ", layers.size());
  for (const LayerKept& layer : layers) {
    require(layer.total == layers.front().total, Fault::bad_request, "heat map: layer ", layer.layer, " has ",
            layer.total, " vision tokens, layer ", layers.front().layer, " has ", layers.front().total);
    require(within(layer.kept, layer.total) && within(layer.offered, layer.total), Fault::bad_request,
            "heat map: layer ", layer.layer, " has a token outside of 0 to ", layer.total - 1);
  }
  for (const HeatView& view : views) {
    const int64_t total = layers.empty() ? kMaxGrid * kMaxGrid * 4 : layers.front().total;
    require(fits(view, total), Fault::bad_request, "heat map: a grid of ", view.grid_w, " x ", view.grid_h,
            " patches from token ", view.first_token, " does not fit ", total, " vision tokens");
  }
}

std::vector<Fate> fates_of(const LayerKept& layer) {
  std::vector<Fate> fates(static_cast<std::size_t>(layer.total), Fate::dropped);
  for (const int64_t token : layer.offered) fates[static_cast<std::size_t>(token)] = Fate::offered;
  for (const int64_t token : layer.kept) fates[static_cast<std::size_t>(token)] = Fate::kept;
  return fates;
}

Arrangement arrange(const std::vector<HeatView>& views, int64_t width, int64_t most_height) {
  const bool below =
      std::any_of(views.begin(), views.end(), [](const HeatView& view) { return aspect_of(view) > kLong; });
  const int64_t gaps = kHeatGap / 2 * (std::ssize(views) - 1);
  double aspects = 0;
  for (const HeatView& view : views) aspects += aspect_of(view);
  const auto common = static_cast<int64_t>(static_cast<double>(width - gaps) / aspects);
  Arrangement result;
  for (const HeatView& view : views) {
    Rect place;
    if (!result.places.empty())
      (below ? place.y : place.x) = (below ? result.size.height : result.size.width) + kHeatGap / 2;
    const Size size = fitted(view, width - place.x, below ? most_height : std::min(most_height, common));
    place.width = size.width;
    place.height = size.height;
    result.places.push_back(place);
    result.size = {std::max(result.size.width, place.x + place.width),
                   std::max(result.size.height, place.y + place.height)};
  }
  return result;
}

Colour heat_colour(double share) {
  constexpr std::array<std::array<double, 3>, 6> kAnchors = {
      {{68, 1, 84}, {65, 68, 135}, {42, 120, 142}, {34, 168, 132}, {122, 209, 81}, {253, 231, 37}}};
  const double at = std::clamp(share, 0.0, 1.0) * (kAnchors.size() - 1);
  const std::size_t low = std::min(static_cast<std::size_t>(at), kAnchors.size() - 2);
  Colour colour{};
  for (std::size_t c = 0; c < 3; ++c) {
    colour[c] = static_cast<uint8_t>(
        std::lround(std::lerp(kAnchors[low][c], kAnchors[low + 1][c], at - static_cast<double>(low))));
  }
  return colour;
}

void colour_pixel(uint8_t* pixel, Fate fate) {
  const int light = lightness(pixel);
  if (fate == Fate::dropped) std::fill_n(pixel, 3, static_cast<uint8_t>(16 + light * 18 / 100));
  if (fate == Fate::offered) {
    const Colour purple{static_cast<uint8_t>(130 + light * 40 / 100), static_cast<uint8_t>(50 + light * 45 / 100),
                        static_cast<uint8_t>(120 + light * 36 / 100)};
    std::copy(purple.begin(), purple.end(), pixel);
  }
}

Image scaled(const HeatView& view, Size size) {
  return resize(view.picture, size, Resample::bicubic);
}

Image with_overlay(const HeatView& view, Image drawn, const std::vector<int64_t>& counts, int64_t layers) {
  for_each_pixel(drawn, view, [&](uint8_t* pixel, std::size_t token) {
    const Colour colour =
        heat_colour(layers == 0 ? 1 : static_cast<double>(counts[token]) / static_cast<double>(layers));
    const int light = lightness(pixel);
    for (std::size_t c = 0; c < 3; ++c) pixel[c] = static_cast<uint8_t>((colour[c] * 62 + light * 38) / 100);
  });
  return drawn;
}

Image with_fates(const HeatView& view, Image drawn, const std::vector<Fate>& fates) {
  for_each_pixel(drawn, view, [&](uint8_t* pixel, std::size_t token) { colour_pixel(pixel, fates[token]); });
  return drawn;
}

}  // namespace lithe::image
