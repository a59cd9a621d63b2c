#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "image/image.h"

namespace lithe::image {

/// A picture as a vision tower saw it, and where its patches are among the image's vision tokens. Without tiles the
/// patch at (column, row) is token first_token + row * row_stride + column.
struct HeatView {
  Image picture;
  int64_t grid_w = 0;  ///< Patches across.
  int64_t grid_h = 0;
  int64_t first_token = 0;
  int64_t row_stride = 0;   ///< grid_w, or grid_w + 1 when a newline token ends each row. 0 means grid_w.
  Size tile;                ///< Patches of a tile whose tokens are together, tiles row by row. 0 x 0: no tiles.
  int64_t tile_stride = 0;  ///< Tokens from one tile to the next.

  int64_t token_at(int64_t column, int64_t row) const;
};

/// What a layer did with the vision tokens of one image. What is in neither list, it dropped.
struct LayerKept {
  int64_t layer = 0;
  std::vector<int64_t> kept;  ///< Ran the feed-forward network. Indices among the image's vision tokens, any order.
  int64_t total = 0;          ///< How many vision tokens the image has.
  std::vector<int64_t> offered = {};  ///< Not kept, but their keys and values were computed.
};

/// What stands above a heat map.
struct HeatCaption {
  std::string model, plan, question;
  int64_t layers = 0;  ///< Of the model; those that are not drawn keep everything. 0: as many as are drawn.
};

/// A sheet: the caption, the picture beside a translucent overlay of how many layers kept each patch, the legend, and
/// a small copy of the views per layer in which dropped patches are dark and those that offered keys and values only
/// are purple. Layers that keep everything are named, not drawn.
/// Throws Error{bad_request} when there is no picture or a grid does not fit its tokens.
Image heat_map(const std::vector<HeatView>& views, const std::vector<LayerKept>& layers,
               const HeatCaption& caption = {});

/// "0-2, 5": ascending numbers with runs joined.
std::string ranges(const std::vector<int64_t>& numbers);

}  // namespace lithe::image
