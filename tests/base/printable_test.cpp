#include "base/printable.h"

#include <gtest/gtest.h>
#include <random>
#include <string>

#include "base/error.h"
#include "base/utf8.h"

namespace lithe {
namespace {

TEST(Printable, LeavesOrdinaryTextAsItIs) {
  EXPECT_EQ(printable("photo of Zoë's 猫.png"), "photo of Zoë's 猫.png");
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(in_quotes("a b"), "\"a b\"");
}

TEST(Printable, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable("\x1b[2J"), "\\x1b[2J");
  EXPECT_EQ(printable("a\nb\tc\rd\x7f"), "a\\nb\\tc\\rd\\x7f");
  EXPECT_EQ(printable("\xC2\x9B"
                      "31m"),
            "\\u009b31m");                        // the one-character form of ESC [
  EXPECT_EQ(printable("a\u202Eb"), "a\\u202eb");  // turns the direction of what follows
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("\xFF\xC3"), "\\xff\\xc3");
}

TEST(Printable, CutsTheMiddleOfLongText) {
  const std::string text = "begin" + std::string(20'000'000, 'x') + "end";
  const std::string shown = printable(text, 40);
  EXPECT_EQ(shown.size(), 40U);
  EXPECT_TRUE(shown.starts_with("beginxx")) << shown;
  EXPECT_TRUE(shown.ends_with("xend")) << shown;
  EXPECT_NE(shown.find(" .. "), std::string::npos) << shown;
}

TEST(Printable, IsBoundedAndWholeForAnyBytes) {
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    std::string text(random() % 300, ' ');
    for (char& c : text) c = static_cast<char>(random() % 3 == 0 ? random() : 'a' + random() % 26);
    const std::size_t most = 8 + random() % 200;
    const std::string shown = printable(text, most);
    EXPECT_LE(shown.size(), most);
    EXPECT_EQ(shown, valid_utf8(shown));
    for (const char c : shown) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
  }
}

TEST(Error, IsSafeToShow) {
  const Error error(Fault::bad_file, "no model \x1b[2J" + std::string(1'000'000, 'x'));
  EXPECT_LE(std::string(error.what()).size(), kMostSentenceBytes);
  EXPECT_TRUE(std::string(error.what()).starts_with("no model \\x1b[2J"));
}

}  // namespace
}  // namespace lithe
