#pragma once

#include <cstdint>
#include <vector>

#include "image/image.h"

namespace lithe::image {

/// A picture as a vision tower saw it, and where its patches stand among the image's vision tokens: the patch at
/// (column, row) is token first_token + row * row_stride + column.
struct HeatView {
  Image picture;
  int64_t grid_w = 0;  ///< Patches across.
  int64_t grid_h = 0;
  int64_t first_token = 0;
  int64_t row_stride = 0;  ///< grid_w, or grid_w + 1 where a newline token ends each row. 0 means grid_w.
};

/// The vision tokens of one image that a layer ran.
struct LayerKept {
  int64_t layer = 0;
  std::vector<int64_t> kept;  ///< Indices among the image's vision tokens (0 = the first), any order.
  int64_t total = 0;          ///< How many vision tokens the image has.
};

/// A contact sheet: a large overlay of how many layers kept each patch with its legend, then one small copy of the
/// views per layer in which dropped patches are dark and grey, labelled with the layer and "kept/total".
/// Throws Error{bad_request} when there is nothing to draw or a grid does not fit its tokens.
Image heat_map(const std::vector<HeatView>& views, const std::vector<LayerKept>& layers);

/// The same for one view whose patches are tokens 0 .. grid_w * grid_h - 1.
Image heat_map(const Image& picture, int64_t grid_w, int64_t grid_h, const std::vector<LayerKept>& layers);

}  // namespace lithe::image
