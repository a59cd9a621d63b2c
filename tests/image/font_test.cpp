#include "image/font.h"

#include <gtest/gtest.h>

#include <set>

namespace lithe::image {
namespace {

std::string drawn(const Font& font, const std::string& text) {
  Image canvas(40, 40, 255, 255, 255);
  font.draw(canvas, 4, 4, text, {0, 0, 0});
  return {canvas.rgb.begin(), canvas.rgb.end()};
}

TEST(Font, DrawsEveryCharacterDifferently) {
  for (const Font* font : {&Font::small(), &Font::plain(), &Font::large()}) {
    std::set<std::string> shapes;
    for (char character = '!'; character <= '~'; ++character) shapes.insert(drawn(*font, std::string(1, character)));
    EXPECT_EQ(shapes.size(), static_cast<std::size_t>('~' - '!' + 1));
    EXPECT_EQ(shapes.count(drawn(*font, " ")), 0u);
  }
}

TEST(Font, KnowsManyScriptsAndDrawsABoxForTheRest) {
  const Font& font = Font::plain();
  const std::string box = drawn(font, "\U0001F600");
  EXPECT_NE(box, drawn(font, " "));
  EXPECT_EQ(box, drawn(font, "\xFF")) << "broken bytes";
  for (const char* known : {"é", "ß", "ł", "Ж", "λ", "א", "→", "€", "≤", "中", "國", "の", "カ", "한", "。", "，"})
    EXPECT_NE(box, drawn(font, known)) << known;
}

TEST(Font, SmoothsEdges) {
  const std::string shape = drawn(Font::large(), "O");
  const std::set<char> shades(shape.begin(), shape.end());
  EXPECT_GE(shades.size(), 5u);
}

TEST(Font, MeasuresWhatItDraws) {
  const Font& font = Font::plain();
  EXPECT_EQ(font.width(""), 0);
  EXPECT_EQ(font.width("ab"), font.width("a") + font.width("b"));
  EXPECT_LT(font.width("iiii"), font.width("MMMM"));
  Image canvas(200, 40, 255, 255, 255);
  font.draw(canvas, 0, 0, "lithe", {0, 0, 0});
  for (int64_t y = 0; y < canvas.height; ++y) {
    for (int64_t x = font.width("lithe") + 1; x < canvas.width; ++x) ASSERT_EQ(canvas.row(y)[x * 3], 255) << x;
  }
  font.draw(canvas, -30, -10, "clipped at every edge, wherever that is", {0, 0, 0});
  font.draw(canvas, 190, 30, "clipped", {0, 0, 0});
}

TEST(Font, WrapsBetweenWordsAndCutsWhatIsTooLong) {
  const Font& font = Font::plain();
  const std::string text = "one  two\nthree\tfour five six seven eight nine ten eleven twelve";
  const auto lines = font.wrap(text, 120, 10);
  ASSERT_GE(lines.size(), 3u);
  std::string joined;
  for (const std::string& line : lines) {
    EXPECT_LE(font.width(line), 120) << line;
    joined += (joined.empty() ? "" : " ") + line;
  }
  EXPECT_EQ(joined, "one two three four five six seven eight nine ten eleven twelve");
  const auto cut = font.wrap(text, 120, 2);
  ASSERT_EQ(cut.size(), 2u);
  EXPECT_EQ(cut[0], lines[0]);
  EXPECT_TRUE(cut[1].ends_with("…")) << cut[1];
  EXPECT_LE(font.width(cut[1]), 120);
  EXPECT_TRUE(font.wrap(" \n ", 120, 2).empty());
}

TEST(Font, BreaksWordsThatAreWiderThanALine) {
  const Font& font = Font::plain();
  const std::string word(100, 'w');
  std::string joined;
  for (const std::string& line : font.wrap(word, 120, 100)) {
    EXPECT_LE(font.width(line), 120);
    joined += line;
  }
  EXPECT_EQ(joined, word);
  EXPECT_EQ(font.wrap(std::string(1 << 20, 'w'), 120, 3).size(), 3u);
  EXPECT_EQ(font.wrap("żółć żółć żółć", 50, 1).size(), 1u);
}

/// Such a word does not leave the words before it alone on a line.
TEST(Font, BeginsAWordThatItBreaksOnTheSameLine) {
  const Font& font = Font::plain();
  const auto lines = font.wrap("Question: 图中最大的形状是什么颜色的？请只回答颜色。", 200, 10);
  ASSERT_GE(lines.size(), 2u);
  EXPECT_TRUE(lines[0].starts_with("Question: 图中")) << lines[0];
  for (const std::string& line : lines) EXPECT_LE(font.width(line), 200) << line;
}

}  // namespace
}  // namespace lithe::image
