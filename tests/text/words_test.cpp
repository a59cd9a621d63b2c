#include "text/words.h"

#include <gtest/gtest.h>

namespace lithe::text {
namespace {

TEST(Words, SplitAtWhiteSpaceOfUnicode) {
  EXPECT_EQ(words_of(" a\tb\xC2\xA0"
                     "c\xE2\x80\x83 d\n"),
            (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_TRUE(words_of(" \xE3\x80\x80\x1C ").empty());
  EXPECT_EQ(joined({"a", "b"}), "a b");
}

TEST(Words, StripKeepsWhatIsInside) {
  EXPECT_EQ(stripped("\xC2\x85 one  two \xE2\x80\xA8"), "one  two");
  EXPECT_EQ(stripped(" \n"), "");
  EXPECT_EQ(stripped("\xFF x \xFF"), "\xFF x \xFF");  // not UTF-8: no white space
}

TEST(Words, LowerCaseIsUnicodes) {
  EXPECT_EQ(lower("MRI \xC3\x84 \xCE\x9F\xCE\xA3"), "mri \xC3\xA4 \xCE\xBF\xCF\x82");
  EXPECT_EQ(lower(""), "");
  EXPECT_EQ(lower("A\xFF"), "a\xEF\xBF\xBD");
}

}  // namespace
}  // namespace lithe::text
