#pragma once

#include <cstdint>

#include "image/preprocess.h"

namespace lithe::image {

/// A rectangle of a picture, in shares of the picture's width and height: {0, 0, 1, 1} is all of it. What lies outside
/// of that is a margin.
struct Part {
  double x = 0, y = 0, width = 1, height = 1;
};

/// What a rectangle shows, if the picture lies at `content`. Both in the same unit.
Part part_shown(const Rect& shown, const Rect& content);

/// Which parts of a picture the views of make_views show.
struct ViewParts {
  Part whole;  ///< Of tile 0.
  Size grid;   ///< As Views::grid.
  Rect content;
  Size canvas;  ///< As Views::content, and the size of Views::canvas.
};

/// The parts that make_views shows of a picture of this size, of a prompt with `pictures` of them. Throws
/// Error{bad_request} without pinpoints.
ViewParts view_parts(Size picture, const PreprocessConfig& config, int64_t pictures = 1);

}  // namespace lithe::image
