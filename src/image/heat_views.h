#pragma once

#include <cstdint>
#include <vector>

#include "image/canvas.h"
#include "image/heat_map.h"

/// How the views of one image are placed and coloured in a heat map. Private to this folder.
namespace lithe::image {

inline constexpr int64_t kHeatGap = 16;

/// Tokens of one image, and what became of each.
enum class Fate : uint8_t { dropped, offered, kept };

/// Throws Error{bad_request} unless every view's patches and every list are within the tokens.
void check_heat_map(const std::vector<HeatView>& views, const std::vector<LayerKept>& layers);

std::vector<Fate> fates_of(const LayerKept& layer);  ///< [total]

/// Where each view lies in a box of this width, from (0, 0): side by side at one height, or, when one of them is long,
/// one below the other. None is higher than `most_height`; thin strips are stretched.
struct Arrangement {
  std::vector<Rect> places;
  Size size;
};
Arrangement arrange(const std::vector<HeatView>& views, int64_t width, int64_t most_height);

/// Dark blue over green to yellow, evenly spaced in lightness (anchors of the "viridis" map). share: 0..1
Colour heat_colour(double share);

/// A kept pixel stays as it is; a dropped one becomes dark grey, one that offered keys and values only purple.
void colour_pixel(uint8_t* pixel, Fate fate);

/// The view as it is, at this size.
Image scaled(const HeatView& view, Size size);
/// Under a translucent map of how many of `layers` layers kept each patch. counts: [total]
Image with_overlay(const HeatView& view, Image scaled, const std::vector<int64_t>& counts, int64_t layers);
/// With every patch coloured by what became of it.
Image with_fates(const HeatView& view, Image scaled, const std::vector<Fate>& fates);

}  // namespace lithe::image
