#include "image/preprocess.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "image/geometry.h"
#include "image/view_sizes.h"

namespace lithe::image {
namespace {

constexpr int64_t kMaxTiles = 256;

Rect intersection(const Rect& a, const Rect& b) {
  const int64_t left = std::max(a.x, b.x), top = std::max(a.y, b.y);
  return {left, top, std::min(a.x + a.width, b.x + b.width) - left, std::min(a.y + a.height, b.y + b.height) - top};
}

/// Resizes to `size`, then cuts the centre, computing no more than what is left of it.
Image resize_and_crop(const Image& picture, Size size, const PreprocessConfig& config) {
  const bool resizes = size != picture.size();
  if (!config.do_centre_crop) return resizes ? resize(picture, size, config.resample) : picture;
  const Rect wanted = centre_rect(size, config.crop);
  if (!resizes) return crop(picture, wanted);
  const Rect part = intersection(wanted, {0, 0, size.width, size.height});
  Image resized = resize(picture, size, config.resample, part);
  if (part == wanted) return resized;
  return crop(resized, {wanted.x - part.x, wanted.y - part.y, wanted.width, wanted.height});
}

/// What the image processor does by itself.
Image plain_view(const Image& picture, const PreprocessConfig& config) {
  return resize_and_crop(picture, plain_size(picture.size(), config), config);
}

Image padded_view(const Image& picture, const PreprocessConfig& config) {
  std::array<uint8_t, 3> background{};
  for (std::size_t c = 0; c < 3; ++c) {
    background[c] =
        static_cast<uint8_t>(std::clamp(config.mean[c] * 255, 0.0, 255.0));  // expand2square: int(mean * 255)
  }
  return plain_view(pad_to_square(picture, background), config);
}

void anyres_views(const Image& picture, const PreprocessConfig& config, Views& views) {
  // The original calls Image.resize without a filter: PIL's default is bicubic, whatever the file says.
  const Resample resample = config.dialect == Dialect::original ? Resample::bicubic : config.resample;
  const Size best = select_best_resolution(picture.size(), config.pinpoints);
  views.grid = grid_of(best, config);
  require(views.grid.width * views.grid.height < kMaxTiles, Fault::bad_file, "the pinpoint ", best.width, " x ",
          best.height, " makes ", views.grid.width * views.grid.height, " tiles of ", config.crop.width, " x ",
          config.crop.height, " pixels; at most ", kMaxTiles - 1, " are read");
  views.content = fit_rect(picture.size(), best);
  views.canvas = resize_and_pad(picture, best, resample);
  views.tiles.push_back(plain_view(resize(picture, squashed_size(config), resample), config));
  for (const Image& tile : cut_tiles(views.canvas, config.crop)) views.tiles.push_back(plain_view(tile, config));
}

}  // namespace

Views make_views(const Image& picture, const PreprocessConfig& config, int64_t pictures) {
  require(picture.width > 0 && picture.height > 0, Fault::bad_request, "the picture has no pixels");
  Views views{.original = picture.size()};
  switch (aspect_among(config, pictures)) {
    case Aspect::squash:
      views.tiles.push_back(resize_and_crop(picture, config.exact_size, config));
      break;
    case Aspect::centre_crop:
      views.tiles.push_back(plain_view(picture, config));
      break;
    case Aspect::pad:
      views.tiles.push_back(padded_view(picture, config));
      break;
    case Aspect::anyres:
      anyres_views(picture, config, views);
      break;
  }
  for (const Image& tile : views.tiles) {
    require(tile.size() == config.crop, Fault::bad_request, "the picture would reach the vision tower as ", tile.width,
            " x ", tile.height, " pixels instead of ", config.crop.width, " x ", config.crop.height,
            ", as preprocessor_config.json switches resizing or cropping off");
  }
  return views;
}

Size tile_grid(Size picture, const PreprocessConfig& config, int64_t pictures) {
  if (aspect_among(config, pictures) != Aspect::anyres || config.pinpoints.empty()) return {0, 0};
  return grid_of(select_best_resolution(picture, config.pinpoints), config);
}

int64_t count_tiles(Size picture, const PreprocessConfig& config, int64_t pictures) {
  const Size grid = tile_grid(picture, config, pictures);
  return std::min(1 + grid.width * grid.height, kMaxTiles);  // make_views refuses more
}

PixelValues normalise(const Views& views, const PreprocessConfig& config) {
  PixelValues out{.tiles = static_cast<int64_t>(views.tiles.size()),
                  .size = config.crop,
                  .original_width = views.original.width,
                  .original_height = views.original.height,
                  .grid_w = views.grid.width,
                  .grid_h = views.grid.height};
  std::array<std::array<float, 256>, 3> table;
  for (std::size_t c = 0; c < 3; ++c) {
    const auto mean = static_cast<float>(config.mean[c]), deviation = static_cast<float>(config.deviation[c]);
    for (int value = 0; value < 256; ++value) {
      // transformers: the product in double, rounded to float32, then float32 arithmetic.
      table[c][value] = (static_cast<float>(value * config.rescale_factor) - mean) / deviation;
    }
  }
  const int64_t area = out.size.width * out.size.height;
  out.values.resize(static_cast<std::size_t>(out.tiles * 3 * area));
  float* plane = out.values.data();
  for (const Image& tile : views.tiles) {
    for (std::size_t c = 0; c < 3; ++c, plane += area) {
      for (int64_t i = 0; i < area; ++i) plane[i] = table[c][tile.rgb[i * 3 + c]];
    }
  }
  return out;
}

PixelValues preprocess(const Image& picture, const PreprocessConfig& config) {
  return normalise(make_views(picture, config), config);
}

}  // namespace lithe::image
