#include "image/view_parts.h"

#include <gtest/gtest.h>

#include "gradient.h"

namespace lithe::image {
namespace {

PreprocessConfig config_of(Aspect aspect) {
  PreprocessConfig config;
  config.aspect = aspect;
  config.crop = {56, 56};
  config.mean = {0.5, 0.5, 0.5};
  config.pinpoints = {{56, 112}, {112, 56}, {112, 112}, {168, 56}};
  if (aspect == Aspect::squash || aspect == Aspect::anyres) {
    config.exact_size = {56, 56};
  } else {
    config.shortest_edge = 56;
  }
  return config;
}

TEST(ViewParts, AreWhatTheViewsShow) {
  for (const Aspect aspect : {Aspect::squash, Aspect::centre_crop, Aspect::pad, Aspect::anyres}) {
    for (const Size size : {Size{300, 300}, Size{301, 150}, Size{100, 317}, Size{400, 90}, Size{40, 33}}) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(aspect) << ": " << size.width << " x " << size.height);
      const PreprocessConfig config = config_of(aspect);
      const Views views = make_views(test::gradient(size.width, size.height), config);
      const ViewParts parts = view_parts(size, config);
      test::expect_shows(views.tiles.front(), parts.whole);
      EXPECT_EQ(parts.grid, views.grid);
      if (aspect != Aspect::anyres) continue;
      EXPECT_EQ(parts.content, views.content);
      EXPECT_EQ(parts.canvas, views.canvas.size());
      const Rect all{0, 0, views.canvas.width, views.canvas.height};
      test::expect_shows(views.canvas, part_shown(all, parts.content));
    }
  }
}

TEST(ViewParts, ASmallPictureThatIsNotResizedHasMargins) {
  PreprocessConfig config = config_of(Aspect::centre_crop);
  config.do_resize = false;
  test::expect_shows(make_views(test::gradient(40, 90), config).tiles.front(), view_parts({40, 90}, config).whole);
}

TEST(ViewParts, FollowTheNumberOfPictures) {
  PreprocessConfig config = config_of(Aspect::anyres);
  config.aspect_among_several = Aspect::pad;
  config.shortest_edge = 56;
  EXPECT_EQ(view_parts({300, 100}, config, 1).grid, (Size{3, 1}));
  EXPECT_EQ(view_parts({300, 100}, config, 2).grid, Size{});
  test::expect_shows(make_views(test::gradient(300, 100), config, 2).tiles.front(),
                     view_parts({300, 100}, config, 2).whole);
}

}  // namespace
}  // namespace lithe::image
