#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/json.h"
#include "image/decode.h"
#include "image/image.h"
#include "image/resize.h"

namespace lithe::image {

/// Whose preprocessing the checkpoint was trained with.
enum class Dialect {
  original,      ///< LLaVA and p-MoD: pinpoints are (width, height), alpha is dropped, anyres always resizes bicubic.
  transformers,  ///< llava-hf: pinpoints are (height, width), alpha is composited on white.
};

/// How a picture of any shape becomes tiles of the size that the vision tower takes.
enum class Aspect {
  squash,       ///< Resized to the exact size of the file's `size`.
  centre_crop,  ///< Short side to `shortest_edge`, then the centre.
  pad,          ///< Padded to a square with the mean colour, then as centre_crop.
  anyres,       ///< The whole squashed to one tile, then the tiles of a padded larger picture, row by row.
};

/// What preprocessor_config.json says. Sizes in pixels.
struct PreprocessConfig {
  Dialect dialect = Dialect::transformers;
  Aspect aspect = Aspect::centre_crop;
  std::optional<Aspect> aspect_among_several;  ///< If a prompt has several pictures; absent: `aspect` as well.
  bool do_resize = true;
  bool do_centre_crop = true;
  bool do_rescale = true;
  bool do_normalise = true;
  std::optional<int64_t> shortest_edge;  ///< Absent if the file gives an exact size.
  Size exact_size;                       ///< Used if shortest_edge is absent.
  Size crop;                             ///< Of the tiles that the vision tower sees.
  Resample resample = Resample::bicubic;
  double rescale_factor = 0;
  std::array<double, 3> mean{};
  std::array<double, 3> deviation{};
  std::vector<Size> pinpoints;  ///< Of anyres; always (width, height) here.
  Alpha alpha = Alpha::drop;    ///< How pictures are to be decoded for this checkpoint (see decode_options).

  /// Reads preprocessor_config.json, or processor_config.json that nests it under "image_processor". In the
  /// transformers dialect the file also tells the aspect. Throws Error{bad_file}.
  static PreprocessConfig from_json(const JsonView& file, Dialect dialect);

  /// Takes `image_aspect_ratio` and `image_grid_pinpoints` from a model's config.json, where the original layout keeps
  /// them. Throws Error{bad_file}.
  void take_model_config(const JsonView& config);

  DecodeOptions decode_options() const { return {.alpha = alpha}; }
};

/// The tiles that the vision tower sees, still as 8-bit pictures.
struct Views {
  std::vector<Image> tiles;  ///< Tile 0 is the whole picture; with anyres the tiles of `canvas` follow, row by row.
  Size original;             ///< The size of the decoded picture.
  Size grid;                 ///< anyres: tiles of `canvas` across and down; otherwise {0, 0}.
  Image canvas;              ///< anyres: the picture resized and padded to the chosen pinpoint; otherwise empty.
  Rect content;              ///< anyres: where the picture lies in `canvas`.
};

/// Input of a vision tower.
struct PixelValues {
  int64_t tiles = 0;
  int64_t channels = 3;
  Size size;                  ///< Of a tile.
  std::vector<float> values;  ///< [tiles, 3, height, width]
  int64_t original_width = 0;
  int64_t original_height = 0;
  int64_t grid_w = 0;  ///< anyres: tiles across (tiles = 1 + grid_w * grid_h); otherwise 0.
  int64_t grid_h = 0;
};

/// Cuts a picture of a prompt with `pictures` of them into views. Throws Error{bad_request} for pictures too narrow to
/// be resized.
Views make_views(const Image& picture, const PreprocessConfig& config, int64_t pictures = 1);

/// Views::grid of a picture of this size.
Size tile_grid(Size picture, const PreprocessConfig& config, int64_t pictures = 1);

/// How many tiles make_views cuts a picture of this size into.
int64_t count_tiles(Size picture, const PreprocessConfig& config, int64_t pictures = 1);

/// Rescales and normalises: float32(value * factor), minus mean, by deviation.
PixelValues normalise(const Views& views, const PreprocessConfig& config);

/// make_views, then normalise.
PixelValues preprocess(const Image& picture, const PreprocessConfig& config);

}  // namespace lithe::image
