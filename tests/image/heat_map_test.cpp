#include "image/heat_map.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/error.h"
#include "image/geometry.h"
#include "image/heat_views.h"
#include "image/support.h"

namespace lithe::image {
namespace {

constexpr Colour kPicture{200, 120, 40};

HeatView view_of(int64_t grid_w, int64_t grid_h, int64_t width = 64, int64_t height = 64) {
  return {.picture = Image(width, height, kPicture[0], kPicture[1], kPicture[2]), .grid_w = grid_w, .grid_h = grid_h};
}

int lightness_at(const Image& picture, int64_t x, int64_t y) {
  const uint8_t* pixel = picture.row(y) + x * 3;
  return 299 * pixel[0] + 587 * pixel[1] + 114 * pixel[2];
}

bool is_grey(const uint8_t* pixel) {
  return pixel[0] == pixel[1] && pixel[1] == pixel[2];
}

TEST(HeatMap, KeptStayAsTheyAreDroppedAreDarkAndTheOthersAreNeither) {
  const HeatView view = view_of(2, 2);
  const LayerKept layer{.layer = 3, .kept = {0}, .total = 4, .offered = {1}};
  const Image drawn = with_fates(view, scaled(view, {64, 64}), fates_of(layer));
  EXPECT_EQ(crop(drawn, {0, 0, 32, 32}), Image(32, 32, 200, 120, 40));
  const uint8_t *offered = drawn.row(10) + 40 * 3, *dropped = drawn.row(40) + 10 * 3;
  EXPECT_TRUE(is_grey(dropped));
  EXPECT_FALSE(is_grey(offered));
  // Told apart by lightness too.
  EXPECT_GT(lightness_at(drawn, 40, 10), lightness_at(drawn, 10, 40) + 30000);
  EXPECT_EQ(crop(drawn, {0, 32, 32, 32}), crop(drawn, {32, 32, 32, 32}));
}

TEST(HeatMap, WhatIsKeptAndOfferedIsKept) {
  const auto fates = fates_of({.layer = 0, .kept = {1}, .total = 3, .offered = {0, 1}});
  EXPECT_EQ(fates, (std::vector<Fate>{Fate::offered, Fate::kept, Fate::dropped}));
}

TEST(HeatMap, OverlayOrdersPatchesByHowManyLayersKeptThemAndShowsThePicture) {
  const HeatView view = view_of(4, 1);
  const Image drawn = with_overlay(view, scaled(view, {64, 64}), {4, 3, 1, 0}, 4);
  for (int64_t patch = 1; patch < 4; ++patch)
    EXPECT_GT(lightness_at(drawn, patch * 16 - 8, 30), lightness_at(drawn, patch * 16 + 8, 30)) << patch;
  HeatView bright = view_of(4, 1);
  bright.picture = Image(64, 64, 255, 255, 255);
  const Image other = with_overlay(bright, scaled(bright, {64, 64}), {4, 3, 1, 0}, 4);
  EXPECT_GT(lightness_at(other, 8, 30), lightness_at(drawn, 8, 30)) << "the picture shines through";
}

TEST(HeatMap, PatchesHaveTheirTokensWithNewlinesAndInTiles) {
  HeatView map = view_of(2, 2);
  map.first_token = 4;
  map.row_stride = 3;
  EXPECT_EQ(map.token_at(1, 0), 5);
  EXPECT_EQ(map.token_at(0, 1), 7);
  // Two tiles side by side, each with a class token and then 2 x 2 patches.
  HeatView tiles = view_of(4, 2);
  tiles.first_token = 6;
  tiles.tile = {2, 2};
  tiles.tile_stride = 5;
  const std::vector<std::vector<int64_t>> expected = {{6, 7, 11, 12}, {8, 9, 13, 14}};
  for (int64_t row = 0; row < 2; ++row) {
    for (int64_t column = 0; column < 4; ++column) EXPECT_EQ(tiles.token_at(column, row), expected[row][column]);
  }
}

TEST(HeatMap, ViewsGoBesideEachOtherOrBelow) {
  const Arrangement beside = arrange({view_of(2, 2), view_of(4, 2, 128, 64)}, 608, 500);
  ASSERT_EQ(beside.places.size(), 2u);
  EXPECT_EQ(beside.places[0].y, beside.places[1].y);
  EXPECT_NEAR(beside.places[0].height, beside.places[1].height, 1);
  EXPECT_NEAR(beside.places[1].width, 2 * beside.places[1].height, 2);
  EXPECT_NEAR(beside.size.width, 608, 4);
  const Arrangement below = arrange({view_of(2, 2), view_of(70, 1, 3000, 7)}, 608, 500);
  EXPECT_GE(below.places[1].y, below.places[0].height);
  EXPECT_EQ(below.places[1].width, 608);
  EXPECT_GE(below.places[1].height, 30) << "a strip is stretched";
  const Arrangement tall = arrange({view_of(2, 2), view_of(1, 70, 7, 3000)}, 608, 500);
  EXPECT_GE(tall.places[1].width, 30);
  EXPECT_LE(tall.size.width, 608);
}

std::vector<LayerKept> layers_of(int64_t count, int64_t total) {
  std::vector<LayerKept> layers;
  for (int64_t layer = 0; layer < count; ++layer) {
    LayerKept kept{layer, std::vector<int64_t>(static_cast<std::size_t>(total - layer)), total};
    std::iota(kept.kept.begin(), kept.kept.end(), 0);
    layers.push_back(kept);
  }
  return layers;
}

TEST(HeatMap, TheSheetShowsCaptionLegendAndEveryLayer) {
  const std::vector<HeatView> views = {view_of(2, 2)};
  const HeatCaption caption{.model = "demo", .plan = "p-mod", .question = "what is it?", .layers = 4};
  const Image sheet = heat_map(views, layers_of(4, 4), caption);
  EXPECT_EQ(sheet.width, 1280);
  EXPECT_EQ(sheet.rgb.size(), static_cast<std::size_t>(sheet.width * sheet.height * 3));
  HeatCaption other = caption;
  other.question = "what was it?";
  EXPECT_EQ(heat_map(views, layers_of(4, 4), other).size(), sheet.size());
  EXPECT_NE(heat_map(views, layers_of(4, 4), other), sheet);
  other.question = std::string(4000, 'x') + " and more";
  EXPECT_GT(heat_map(views, layers_of(4, 4), other).height, sheet.height) << "wrapped";
  EXPECT_LT(heat_map(views, layers_of(4, 4), other).height, sheet.height + 100) << "and cut";
  EXPECT_GT(heat_map(views, layers_of(12, 40), caption).height, sheet.height) << "more rows of layers";
}

TEST(HeatMap, LayersThatKeepEverythingAreNamed) {
  const std::vector<HeatView> views = {view_of(2, 2)};
  std::vector<LayerKept> last = layers_of(4, 4);
  last.erase(last.begin());
  const Image with_names = heat_map(views, last, {.layers = 4}), without = heat_map(views, last);
  EXPECT_GT(with_names.height, without.height);
  const Image nothing_dropped = heat_map(views, {}, {.layers = 4});
  EXPECT_LT(nothing_dropped.height, with_names.height);
}

TEST(HeatMap, WritesRunsOfNumbers) {
  EXPECT_EQ(ranges({}), "");
  EXPECT_EQ(ranges({0}), "0");
  EXPECT_EQ(ranges({0, 1, 2, 5}), "0-2, 5");
  EXPECT_EQ(ranges({3, 4, 7, 8, 9}), "3, 4, 7-9");
}

TEST(HeatMap, RefusesWhatDoesNotFit) {
  const std::vector<HeatView> views = {view_of(2, 2)};
  EXPECT_THROW(heat_map({}, {{0, {0}, 4}}), Error);
  EXPECT_THROW(heat_map({HeatView{.grid_w = 2, .grid_h = 2}}, {{0, {0}, 4}}), Error);
  EXPECT_THROW(heat_map({view_of(2, 3)}, {{0, {0}, 4}}), Error);
  EXPECT_THROW(heat_map(views, {{0, {4}, 4}}), Error);
  EXPECT_THROW(heat_map(views, {{0, {-1}, 4}}), Error);
  EXPECT_THROW(heat_map(views, {{0, {0}, 4, {4}}}), Error);
  EXPECT_THROW(heat_map(views, {{0, {0}, 4}, {1, {0}, 5}}), Error);
  EXPECT_THROW(heat_map({view_of(0, 2)}, {{0, {0}, 4}}), Error);
  EXPECT_THROW(heat_map({view_of(int64_t{1} << 62, 2)}, {{0, {0}, 4}}), Error);
  HeatView tiles = view_of(3, 2);
  tiles.tile = {2, 2};
  tiles.tile_stride = 4;
  EXPECT_THROW(heat_map({tiles}, {{0, {0}, 100}}), Error);
}

TEST(Canvas, ClipsAtItsEdges) {
  Image canvas(4, 4);
  fill(canvas, {-3, -3, 5, 5}, {9, 9, 9});
  EXPECT_EQ(crop(canvas, {0, 0, 2, 2}), Image(2, 2, 9, 9, 9));
  EXPECT_EQ(crop(canvas, {2, 2, 2, 2}), Image(2, 2));
  paste(canvas, Image(3, 3, 5, 5, 5), 3, 3);
  paste(canvas, Image(3, 3, 7, 7, 7), 40, -40);
  EXPECT_EQ(crop(canvas, {3, 3, 1, 1}), Image(1, 1, 5, 5, 5));
}

}  // namespace
}  // namespace lithe::image
