#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "image/image.h"
#include "image/resize.h"

namespace lithe::image {

constexpr int64_t kMaxPaddedSide = 1 << 14;  // 2^28 pixels, 805 MB.

/// The picture in the middle of a square of its longer side (LLaVA's expand2square: the smaller half of an odd margin
/// comes first). Throws Error{bad_request} if the square would have more than 2^28 pixels.
Image pad_to_square(const Image& picture, std::array<uint8_t, 3> background);

/// A rectangle of the picture; parts outside of it are black.
Image crop(const Image& picture, Rect rect);

/// Where transformers' center_crop cuts `size` out of a picture: x and y may be negative (black margins).
Rect centre_rect(Size picture, Size size);

/// The size at which the short side is `edge` and the long one int(edge * long / short), as transformers rounds.
Size shortest_edge_size(Size picture, int64_t edge);

/// The pinpoint that keeps most of the picture's pixels, then wastes least; the first of equals.
/// Throws Error{bad_request} without pinpoints.
Size select_best_resolution(Size picture, const std::vector<Size>& pinpoints);

/// Where anyres puts a picture in a canvas: scaled to fit (the other side rounded up), centred.
Rect fit_rect(Size picture, Size canvas);

/// The picture scaled to fit_rect on a black canvas.
Image resize_and_pad(const Image& picture, Size canvas, Resample resample);

/// Cuts a canvas into tiles, row by row. Its sides must be multiples of a tile's; throws Error{bad_file} otherwise.
std::vector<Image> cut_tiles(const Image& canvas, Size tile);

}  // namespace lithe::image
