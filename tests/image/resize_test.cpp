#include "image/resize.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <map>

#include "base/error.h"
#include "image/geometry.h"
#include "image/support.h"

namespace lithe::image {
namespace {

using test::noise;

TEST(Resize, EqualsPillowWithEveryFilter) {
  const std::map<std::string, Resample> filters = {{"nearest", Resample::nearest},   {"lanczos", Resample::lanczos},
                                                   {"bilinear", Resample::bilinear}, {"bicubic", Resample::bicubic},
                                                   {"box", Resample::box},           {"hamming", Resample::hamming}};
  int cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::kData / "resize")) {
    int from_w = 0, from_h = 0, to_w = 0, to_h = 0;
    char filter[16] = "";
    const std::string name = entry.path().stem().string();
    ASSERT_EQ(std::sscanf(name.c_str(), "%dx%d_to_%dx%d_%15s", &from_w, &from_h, &to_w, &to_h, filter), 5) << name;
    const Image got = resize(noise(from_w, from_h), {to_w, to_h}, filters.at(filter));
    EXPECT_EQ(test::difference(got, test::read_ppm(entry.path())), "") << name;
    ++cases;
  }
  EXPECT_GE(cases, 40);
}

TEST(Resize, KeepsAPictureOfTheSameSize) {
  const Image picture = noise(20, 11);
  EXPECT_EQ(resize(picture, {20, 11}, Resample::bicubic), picture);
}

TEST(Resize, ComputesAPartAsIfItWereCutOut) {
  const Image picture = noise(90, 61);
  const Rect part{7, 3, 20, 15};
  for (const Size size : {Size{40, 33}, Size{120, 100}, Size{90, 30}, Size{40, 61}}) {
    for (const Resample filter : {Resample::bicubic, Resample::nearest}) {
      const Image whole = resize(picture, size, filter);
      EXPECT_EQ(test::difference(resize(picture, size, filter, part), crop(whole, part)), "")
          << size.width << " x " << size.height;
    }
  }
}

TEST(Resize, RefusesWhatCannotBe) {
  EXPECT_THROW(resize(Image(), {3, 3}, Resample::bicubic), Error);
  EXPECT_THROW(resize(noise(3, 3), {0, 3}, Resample::bicubic), Error);
  EXPECT_THROW(resize(noise(3, 3), {1 << 20, 1 << 20}, Resample::bicubic), Error);
  EXPECT_THROW(resize(Image((1 << 20) + 1, 1), {3, 3}, Resample::bicubic), Error);
}

TEST(Geometry, PadsToASquareAsExpand2square) {
  const Image wide = noise(5, 2), tall = noise(2, 5);
  const Image padded = pad_to_square(wide, {9, 8, 7});
  ASSERT_EQ(padded.size(), (Size{5, 5}));
  EXPECT_EQ(crop(padded, {0, 1, 5, 2}), wide);  // (5 - 2) / 2 = 1 row above, 2 below.
  EXPECT_EQ(crop(padded, {0, 3, 5, 2}), Image(5, 2, 9, 8, 7));
  EXPECT_EQ(crop(pad_to_square(tall, {9, 8, 7}), {1, 0, 2, 5}), tall);
  EXPECT_EQ(pad_to_square(noise(4, 4), {0, 0, 0}), noise(4, 4));
  EXPECT_THROW(pad_to_square(Image(70000, 1), {0, 0, 0}), Error);
}

TEST(Geometry, RoundsTheLongSideDown) {
  EXPECT_EQ(shortest_edge_size({200, 86}, 56), (Size{130, 56}));  // 130.23
  EXPECT_EQ(shortest_edge_size({70, 110}, 56), (Size{56, 88}));
  EXPECT_EQ(shortest_edge_size({640, 427}, 336), (Size{503, 336}));  // 503.6
}

TEST(Geometry, CutsTheCentreWithBlackMargins) {
  EXPECT_EQ(centre_rect({131, 56}, {56, 56}), (Rect{37, 0, 56, 56}));
  EXPECT_EQ(centre_rect({3, 8}, {6, 6}), (Rect{-2, 1, 6, 6}));  // transformers pads ceil(3 / 2) = 2 columns first.
  const Image cut = crop(noise(3, 8), {-2, 1, 6, 6});
  EXPECT_EQ(crop(cut, {0, 0, 2, 6}), Image(2, 6));
  EXPECT_EQ(crop(cut, {2, 0, 3, 6}), crop(noise(3, 8), {0, 1, 3, 6}));
}

TEST(Geometry, ChoosesThePinpointAsTheOriginalDoes) {
  // (width, height); the sizes and choices of the golden case pmod_llavanext.
  const std::vector<Size> pinpoints = {{56, 112}, {112, 56}, {112, 112}, {168, 56}, {56, 168}};
  EXPECT_EQ(select_best_resolution({150, 71}, pinpoints), (Size{168, 56}));
  EXPECT_EQ(select_best_resolution({61, 100}, pinpoints), (Size{112, 112}));
  EXPECT_EQ(select_best_resolution({33, 37}, pinpoints), (Size{56, 112}));
  EXPECT_EQ(select_best_resolution({100000, 1}, pinpoints),
            (Size{56, 112}));  // Nothing fits: the least waste, then the first.
  EXPECT_THROW(select_best_resolution({3, 3}, {}), Error);
}

TEST(Geometry, FitsWithCeilAndCutsRowByRow) {
  EXPECT_EQ(fit_rect({150, 71}, {168, 56}), (Rect{24, 0, 119, 56}));   // 118.3
  EXPECT_EQ(fit_rect({100, 33}, {112, 112}), (Rect{0, 37, 112, 37}));  // 36.96
  const Image canvas = noise(6, 4);
  const std::vector<Image> tiles = cut_tiles(canvas, {2, 2});
  ASSERT_EQ(tiles.size(), 6u);
  EXPECT_EQ(tiles[1], crop(canvas, {2, 0, 2, 2}));
  EXPECT_EQ(tiles[3], crop(canvas, {0, 2, 2, 2}));
  EXPECT_THROW(cut_tiles(canvas, {4, 4}), Error);
}

}  // namespace
}  // namespace lithe::image
