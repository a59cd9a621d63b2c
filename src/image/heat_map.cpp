#include "image/heat_map.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "image/canvas.h"
#include "image/resize.h"

namespace lithe::image {
namespace {

constexpr int64_t kMargin = 16;
constexpr int64_t kGap = 10;
constexpr int64_t kLargeHeight = 336;  // Of the overlay.
constexpr int64_t kSmallHeight = 112;  // Of a layer's copy.
constexpr int64_t kMaxViewWidth = 4;   // Times the height; longer views are squeezed.
constexpr int64_t kLabel = 2 * kGlyphHeight;
constexpr int64_t kSheetWidth = 1200;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxGrid = 1024;
constexpr Colour kPaper{250, 250, 250};
constexpr Colour kInk{40, 40, 44};
constexpr Colour kFaint{130, 130, 136};

/// Dark blue over green to yellow, evenly spaced in lightness (anchors of the "viridis" map).
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

int64_t stride_of(const HeatView& view) {
  return view.row_stride == 0 ? view.grid_w : view.row_stride;
}

int64_t width_at(const HeatView& view, int64_t height) {
  const double shape = static_cast<double>(view.picture.width) / static_cast<double>(view.picture.height);
  return std::clamp(static_cast<int64_t>(std::lround(shape * static_cast<double>(height))), height / kMaxViewWidth,
                    height * kMaxViewWidth);
}

int64_t width_of_all(const std::vector<HeatView>& views, int64_t height) {
  int64_t width = -kGap;
  for (const HeatView& view : views) width += width_at(view, height) + kGap;
  return width;
}

void check(const std::vector<HeatView>& views, const std::vector<LayerKept>& layers) {
  require(!views.empty() && !layers.empty(), Fault::bad_request, "a heat map needs a picture and at least one layer");
  require(static_cast<int64_t>(layers.size()) <= kMaxLayers, Fault::bad_request, "a heat map shows at most ",
          kMaxLayers, " layers, got ", layers.size());
  const int64_t total = layers.front().total;
  for (const LayerKept& layer : layers) {
    require(layer.total == total, Fault::bad_request, "heat map: layer ", layer.layer, " has ", layer.total,
            " vision tokens, layer ", layers.front().layer, " has ", total);
    for (const int64_t token : layer.kept) {
      require(token >= 0 && token < total, Fault::bad_request, "heat map: layer ", layer.layer, " keeps token ", token,
              " of ", total);
    }
  }
  for (const HeatView& view : views) {
    const bool sane = view.picture.width > 0 && view.picture.height > 0 && view.grid_w > 0 && view.grid_h > 0 &&
                      view.grid_w <= kMaxGrid && view.grid_h <= kMaxGrid && stride_of(view) >= view.grid_w &&
                      stride_of(view) <= 2 * kMaxGrid && view.first_token >= 0;
    require(sane && view.first_token <= total - (view.grid_h - 1) * stride_of(view) - view.grid_w, Fault::bad_request,
            "heat map: a grid of ", view.grid_w, " x ", view.grid_h, " patches from token ", view.first_token,
            " does not fit ", total, " vision tokens");
  }
}

/// How many layers keep each token.  [total]
std::vector<int64_t> count_layers(const std::vector<LayerKept>& layers) {
  std::vector<int64_t> counts(static_cast<std::size_t>(layers.front().total));
  for (const LayerKept& layer : layers) {
    for (const int64_t token : layer.kept) ++counts[token];
  }
  return counts;
}

/// Calls change(pixel, token) for every pixel of `drawn`, a scaled copy of the view's picture.
template <class Change>
void for_each_pixel(Image& drawn, const HeatView& view, const Change& change) {
  for (int64_t y = 0; y < drawn.height; ++y) {
    const int64_t row = y * view.grid_h / drawn.height;
    for (int64_t x = 0; x < drawn.width; ++x) {
      const int64_t column = x * view.grid_w / drawn.width;
      change(drawn.row(y) + x * 3, view.first_token + row * stride_of(view) + column);
    }
  }
}

int grey_of(const uint8_t* pixel) {
  return (299 * pixel[0] + 587 * pixel[1] + 114 * pixel[2]) / 1000;
}

/// The patches that a layer dropped become dark and grey.
Image draw_layer(const HeatView& view, const Image& small, const std::vector<bool>& kept) {
  Image drawn = small;
  for_each_pixel(drawn, view, [&](uint8_t* pixel, int64_t token) {
    if (!kept[token]) std::fill_n(pixel, 3, static_cast<uint8_t>(18 + grey_of(pixel) * 22 / 100));
  });
  return drawn;
}

/// The map's colour, lightly shaded by the picture so that what it shows stays recognisable.
Image draw_overlay(const HeatView& view, const std::vector<int64_t>& counts, int64_t layers) {
  Image drawn = resize(view.picture, {width_at(view, kLargeHeight), kLargeHeight}, Resample::bicubic);
  for_each_pixel(drawn, view, [&](uint8_t* pixel, int64_t token) {
    const Colour colour = heat_colour(static_cast<double>(counts[token]) / static_cast<double>(layers));
    const int shade = 175 + grey_of(pixel) * 80 / 255;
    for (int c = 0; c < 3; ++c) pixel[c] = static_cast<uint8_t>(colour[c] * shade / 255);
  });
  return drawn;
}

void draw_legend(Image& sheet, int64_t x, int64_t y, int64_t layers) {
  constexpr int64_t kWidth = 14, kHeight = kLargeHeight - 40;
  draw_text(sheet, x, y, "layers", kInk, 2);
  draw_text(sheet, x, y + 18, "that kept it", kFaint, 1);
  const int64_t top = y + 36;
  for (int64_t i = 0; i < kHeight; ++i) {
    fill(sheet, {x, top + i, kWidth, 1}, heat_colour(1.0 - static_cast<double>(i) / (kHeight - 1)));
  }
  const int64_t ticks = std::min<int64_t>(layers, 4);
  for (int64_t tick = 0; tick <= ticks; ++tick) {
    const int64_t count = layers * tick / ticks;
    const int64_t at = top + (kHeight - 1) - (kHeight - 1) * count / layers;
    fill(sheet, {x + kWidth, at, 4, 1}, kInk);
    draw_text(sheet, x + kWidth + 8, std::clamp(at - 3, top, top + kHeight - kGlyphHeight), std::to_string(count), kInk,
              1);
  }
}

void draw_cell(Image& sheet, int64_t x, int64_t y, const std::vector<HeatView>& views, const std::vector<Image>& small,
               const LayerKept& layer) {
  std::vector<bool> kept(static_cast<std::size_t>(layer.total));
  for (const int64_t token : layer.kept) kept[token] = true;
  const auto count = std::count(kept.begin(), kept.end(), true);
  const std::string name = concat("L", layer.layer);
  draw_text(sheet, x, y, name, kInk, 1);
  draw_text(sheet, x + text_width(name) + 8, y, concat(count, "/", layer.total), kFaint, 1);
  int64_t left = x;
  for (std::size_t i = 0; i < views.size(); ++i) {
    paste(sheet, draw_layer(views[i], small[i], kept), left, y + kLabel - 2);
    left += small[i].width + kGap;
  }
}

std::string title_of(const std::vector<LayerKept>& layers) {
  int64_t kept = 0, total = 0;
  for (const LayerKept& layer : layers) {
    kept += static_cast<int64_t>(layer.kept.size());
    total += layer.total;
  }
  const int64_t tenths = total == 0 ? 0 : (1000 * kept + total / 2) / total;
  return concat(layers.front().total, " vision tokens, ", layers.size(), " layers, ", tenths / 10, ".", tenths % 10,
                " % kept");
}

}  // namespace

Image heat_map(const std::vector<HeatView>& views, const std::vector<LayerKept>& layers) {
  check(views, layers);
  constexpr int64_t kLegend = 96, kTitle = 30;
  const int64_t large_width = width_of_all(views, kLargeHeight), cell_width = width_of_all(views, kSmallHeight);
  const int64_t columns = std::clamp<int64_t>((kSheetWidth - 2 * kMargin + 2 * kGap) / (cell_width + 2 * kGap), 1,
                                              static_cast<int64_t>(layers.size()));
  const int64_t rows = (static_cast<int64_t>(layers.size()) + columns - 1) / columns;
  const std::string title = title_of(layers);
  const int64_t width = 2 * kMargin + std::max({large_width + 2 * kGap + kLegend, text_width(title, 2),
                                                columns * (cell_width + 2 * kGap) - 2 * kGap});
  const int64_t cells_at = kMargin + kTitle + kLargeHeight + 2 * kGap;
  const int64_t cell_height = kLabel + kSmallHeight + kGap;
  Image sheet(width, cells_at + rows * cell_height + kMargin - kGap, kPaper[0], kPaper[1], kPaper[2]);
  draw_text(sheet, kMargin, kMargin, title, kInk, 2);

  const std::vector<int64_t> counts = count_layers(layers);
  std::vector<Image> small;
  int64_t x = kMargin;
  for (const HeatView& view : views) {
    const Image overlay = draw_overlay(view, counts, static_cast<int64_t>(layers.size()));
    paste(sheet, overlay, x, kMargin + kTitle);
    x += overlay.width + kGap;
    small.push_back(resize(view.picture, {width_at(view, kSmallHeight), kSmallHeight}, Resample::bicubic));
  }
  draw_legend(sheet, x + kGap, kMargin + kTitle, static_cast<int64_t>(layers.size()));
  for (int64_t i = 0; i < static_cast<int64_t>(layers.size()); ++i) {
    draw_cell(sheet, kMargin + i % columns * (cell_width + 2 * kGap), cells_at + i / columns * cell_height, views,
              small, layers[i]);
  }
  return sheet;
}

Image heat_map(const Image& picture, int64_t grid_w, int64_t grid_h, const std::vector<LayerKept>& layers) {
  return heat_map({HeatView{.picture = picture, .grid_w = grid_w, .grid_h = grid_h}}, layers);
}

}  // namespace lithe::image
