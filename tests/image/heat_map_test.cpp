#include "image/heat_map.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "base/error.h"
#include "image/canvas.h"
#include "image/geometry.h"
#include "image/support.h"

namespace lithe::image {
namespace {

std::vector<LayerKept> layers_of(int64_t count, int64_t total) {
  std::vector<LayerKept> layers;
  for (int64_t layer = 0; layer < count; ++layer) {
    LayerKept kept{layer, std::vector<int64_t>(static_cast<std::size_t>(total - layer)), total};
    std::iota(kept.kept.begin(), kept.kept.end(), 0);
    layers.push_back(kept);
  }
  return layers;
}

/// Where a layer's copy of a one-view sheet begins: the layout of heat_map.cpp.
constexpr int64_t kCellsAt = 16 + 30 + 336 + 20 + 12;

TEST(HeatMap, KeptPatchesStayLitAndDroppedOnesAreDark) {
  const Image picture(56, 56, 200, 120, 40);
  const Image sheet = heat_map(picture, 2, 2, {{3, {0, 3}, 4}});
  const Image cell = crop(sheet, {16, kCellsAt, 112, 112});
  EXPECT_EQ(crop(cell, {0, 0, 56, 56}), Image(56, 56, 200, 120, 40));
  EXPECT_EQ(crop(cell, {56, 56, 56, 56}), Image(56, 56, 200, 120, 40));
  const uint8_t* dropped = cell.row(10) + 100 * 3;
  EXPECT_LT(dropped[0], 60);
  EXPECT_EQ(dropped[0], dropped[1]);
  EXPECT_EQ(dropped[1], dropped[2]);
  EXPECT_EQ(crop(cell, {56, 0, 56, 56}), crop(cell, {0, 56, 56, 56}));
}

TEST(HeatMap, OverlayOrdersPatchesByHowManyLayersKeptThem) {
  // Token t is kept by 4 - t of the layers 0..3, token 0 by all.
  const Image sheet = heat_map(Image(56, 56, 128, 128, 128), 4, 1, layers_of(4, 4));
  std::vector<int> lightness;
  for (int64_t token = 0; token < 4; ++token) {
    const uint8_t* pixel = sheet.row(16 + 30 + 100) + (16 + token * 84 + 40) * 3;
    lightness.push_back(299 * pixel[0] + 587 * pixel[1] + 114 * pixel[2]);
  }
  EXPECT_GT(lightness[0], lightness[1]);
  EXPECT_GT(lightness[1], lightness[2]);
  EXPECT_GT(lightness[2], lightness[3]);
}

TEST(HeatMap, DrawsBaseAndHighResolutionViewsWithNewlineTokens) {
  const Image picture(56, 56, 200, 120, 40);
  // 4 base tokens, then 2 rows of 2 patches and a newline: 4..5 newline 6, 7..8 newline 9.
  const std::vector<HeatView> views = {{picture, 2, 2, 0, 2}, {picture, 2, 2, 4, 3}};
  const Image sheet = heat_map(views, {{0, {7}, 10}});
  const Image cell = crop(sheet, {16 + 112 + 10, kCellsAt, 112, 112});
  EXPECT_EQ(crop(cell, {0, 56, 56, 56}), Image(56, 56, 200, 120, 40));
  EXPECT_LT(cell.row(0)[0], 60);
  EXPECT_LT(cell.row(60)[100 * 3], 60);
}

TEST(HeatMap, RefusesWhatDoesNotFit) {
  const Image picture(8, 8, 1, 2, 3);
  EXPECT_THROW(heat_map(picture, 2, 2, {}), Error);
  EXPECT_THROW(heat_map(std::vector<HeatView>{}, {{0, {0}, 4}}), Error);
  EXPECT_THROW(heat_map(Image(), 2, 2, {{0, {0}, 4}}), Error);
  EXPECT_THROW(heat_map(picture, 2, 3, {{0, {0}, 4}}), Error);
  EXPECT_THROW(heat_map(picture, 2, 2, {{0, {4}, 4}}), Error);
  EXPECT_THROW(heat_map(picture, 2, 2, {{0, {-1}, 4}}), Error);
  EXPECT_THROW(heat_map(picture, 2, 2, {{0, {0}, 4}, {1, {0}, 5}}), Error);
  EXPECT_THROW(heat_map(picture, 0, 2, {{0, {0}, 4}}), Error);
  EXPECT_THROW(heat_map(picture, int64_t{1} << 62, 2, {{0, {0}, 4}}), Error);
}

TEST(Canvas, DrawsEveryCharacterDifferently) {
  const std::string characters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ/.%:-";
  std::set<std::string> shapes;
  for (const char character : characters) {
    Image canvas(5, 7);
    draw_text(canvas, 0, 0, std::string(1, character), {255, 255, 255});
    shapes.emplace(canvas.rgb.begin(), canvas.rgb.end());
  }
  shapes.emplace(5 * 7 * 3, char{0});
  EXPECT_EQ(shapes.size(), characters.size() + 1);
}

TEST(Canvas, ClipsAtItsEdges) {
  Image canvas(4, 4);
  fill(canvas, {-3, -3, 5, 5}, {9, 9, 9});
  EXPECT_EQ(crop(canvas, {0, 0, 2, 2}), Image(2, 2, 9, 9, 9));
  EXPECT_EQ(crop(canvas, {2, 2, 2, 2}), Image(2, 2));
  paste(canvas, Image(3, 3, 5, 5, 5), 3, 3);
  paste(canvas, Image(3, 3, 7, 7, 7), 40, -40);
  EXPECT_EQ(crop(canvas, {3, 3, 1, 1}), Image(1, 1, 5, 5, 5));
  draw_text(canvas, -20, 2, "lithe", {1, 1, 1}, 3);
  EXPECT_EQ(text_width("ab", 2), 22);
}

}  // namespace
}  // namespace lithe::image
