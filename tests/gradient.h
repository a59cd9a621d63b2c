#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "image/image.h"
#include "image/view_parts.h"

namespace lithe::test {

/// A picture whose red says how far right a pixel is, and its green how far down. Its blue is nowhere else.
inline image::Image gradient(int64_t width, int64_t height) {
  image::Image picture(width, height, 0, 0, 200);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      picture.row(y)[3 * x] =
          static_cast<uint8_t>(std::lround(255.0 * (static_cast<double>(x) + 0.5) / static_cast<double>(width)));
      picture.row(y)[3 * x + 1] =
          static_cast<uint8_t>(std::lround(255.0 * (static_cast<double>(y) + 0.5) / static_cast<double>(height)));
    }
  }
  return picture;
}

/// That a view of such a picture shows this part of it: each of its pixels that lies well inside has the colour of its
/// place, and each that lies well outside is a margin.
inline void expect_shows(const image::Image& view, const image::Part& part) {
  constexpr double kEdge = 0.06;        // filters reach over the edge
  constexpr double kGrey = 255 * 0.03;  // and round
  int inside = 0;
  for (int64_t y = 0; y < view.height; ++y) {
    for (int64_t x = 0; x < view.width; ++x) {
      const double right = part.x + part.width * (static_cast<double>(x) + 0.5) / static_cast<double>(view.width);
      const double down = part.y + part.height * (static_cast<double>(y) + 0.5) / static_cast<double>(view.height);
      const uint8_t* const pixel = view.row(y) + 3 * x;
      const double least = std::min(right, down), most = std::max(right, down);
      if (least < -kEdge || most > 1 + kEdge) {
        ASSERT_LT(std::abs(pixel[2]), 180) << x << ", " << y << " is not a margin";
      } else if (least > kEdge && most < 1 - kEdge) {
        ASSERT_NEAR(pixel[0], 255 * right, kGrey) << x << ", " << y;
        ASSERT_NEAR(pixel[1], 255 * down, kGrey) << x << ", " << y;
        ++inside;
      }
    }
  }
  EXPECT_GT(inside, 0);
}

}  // namespace lithe::test
