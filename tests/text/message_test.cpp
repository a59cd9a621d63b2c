#include "text/message.h"

#include <gtest/gtest.h>

namespace lithe::text {
namespace {

TEST(Message, PicturesStandInFrontUnlessMarked) {
  const Message plain = user_message("which is brighter?", 2);
  ASSERT_EQ(plain.parts.size(), 3U);
  EXPECT_EQ(plain.role, "user");
  EXPECT_EQ(plain.parts[0].kind, Part::Kind::image);
  EXPECT_EQ(plain.parts[2].text, "which is brighter?");
  EXPECT_EQ(flatten(plain), "<image> <image>\nwhich is brighter?");
  const Message marked = user_message("is <image> round?", 1);
  ASSERT_EQ(marked.parts.size(), 1U);
  EXPECT_EQ(flatten(marked), "is <image> round?");
}

TEST(Message, MarksAreTakenOutOnce) {
  EXPECT_EQ(replaced("a--b--", "--", "+"), "a+b+");
  EXPECT_EQ(replaced("", "x", "y"), "");
  EXPECT_EQ(without_marks("<image>\nis <image> round?"), "\nis  round?");
  EXPECT_EQ(without_marks("<im<image>age>"), "<image>");
}

// A prompt of 4 MiB: moving the rest of the text for every mark would take minutes.
TEST(Message, ManyMarksAreTakenOutInTime) {
  std::string text;
  while (text.size() < (std::size_t{4} << 20)) text += kImageMark;
  EXPECT_EQ(without_marks(text), "");
}

}  // namespace
}  // namespace lithe::text
