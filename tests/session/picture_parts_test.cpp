// Where the views of an answer lie in the picture that was asked about.
#include "session/picture_parts.h"

#include <gtest/gtest.h>

#include <cmath>

#include "gradient.h"

namespace lithe::session {
namespace {

/// The views of a picture of this size, and the parts that they are said to show.
struct Seen {
  std::vector<image::HeatView> views;
  std::vector<image::Part> parts;
};

Seen seen_by(const std::string& model, image::Size size) {
  const Session session = Session::open(LITHE_TEST_DATA "/golden/" + model + "/checkpoint");
  const Request request{.messages = {text::user_message("What is shown?", 1)},
                        .images = {test::gradient(size.width, size.height)}};
  const Answer answer = session.answer(request, {.max_new_tokens = 1});
  return {answer.kept.at(0).views, picture_parts(session, size, 1)};
}

constexpr image::Size kSizes[] = {{150, 71}, {90, 90}, {60, 200}};

TEST(PictureParts, AreWhatTheViewsOfAnAnswerShow) {
  for (const char* model : {"hf_llava15", "liuhaotian_llava15", "hf_llavanext", "pmod_llavanext"}) {
    for (const image::Size size : kSizes) {
      SCOPED_TRACE(testing::Message() << model << ": " << size.width << " x " << size.height);
      const Seen seen = seen_by(model, size);
      ASSERT_EQ(seen.parts.size(), seen.views.size());
      for (size_t i = 0; i < seen.views.size(); ++i) test::expect_shows(seen.views[i].picture, seen.parts[i]);
    }
  }
}

/// The tiles of this model end with pixels that no patch covers. A heat map cuts them off at the end of the canvas; the
/// part goes to the picture's edge.
TEST(PictureParts, ReachTheEdgesThatThePictureTouches) {
  for (const image::Size size : kSizes) {
    SCOPED_TRACE(testing::Message() << size.width << " x " << size.height);
    const Seen seen = seen_by("llava_onevision", size);
    ASSERT_EQ(seen.parts.size(), seen.views.size());
    test::expect_shows(seen.views[0].picture, seen.parts[0]);
    ASSERT_EQ(seen.parts.size(), 2u);
    const image::Part& part = seen.parts[1];
    const double across = std::abs(part.x) + std::abs(part.width - 1),
                 down = std::abs(part.y) + std::abs(part.height - 1);
    EXPECT_LT(std::min(across, down), 1e-9);
    EXPECT_LT(std::max(across, down), 0.25);  // of a side of few patches, one is much
  }
}

}  // namespace
}  // namespace lithe::session
