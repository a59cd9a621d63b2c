#include "text/characters.h"

#include <gtest/gtest.h>

#include "text/words.h"

namespace lithe::text {
namespace {

TEST(Characters, AreTextsAgain) {
  const std::string text = "aé左🛑\n";
  EXPECT_EQ(text_of(characters_of(text)), text);
  EXPECT_EQ(code_points(text), U"aé左🛑\n");
  EXPECT_EQ(length_of("\xFFx"), 2U);  // a broken byte is one character
}

TEST(Characters, HaveTheKindsThatPythonKnows) {
  // "A" b "5" "５" "²" "Ⅷ" "_" "。" "左" " " and an accent that stands alone
  const Characters all = characters_of("Ab5５²Ⅷ_。左 \u0301");
  std::string words, uppers, digits;
  for (const Character& one : all) {
    words += one.word() ? '1' : '0';
    uppers += one.upper ? '1' : '0';
    digits += one.digit >= 0 ? static_cast<char>('0' + one.digit) : '-';
  }
  EXPECT_EQ(words, "11111110100");
  EXPECT_EQ(uppers, "10000100000");
  EXPECT_EQ(digits, "--55-------");
  EXPECT_TRUE(all[8].letter);
}

TEST(Characters, DigitsOfEveryScriptHaveTheirValue) {
  std::string digits;
  for (const Character& one : characters_of("٣९𝟘𝟡𝟢𝟿")) digits += static_cast<char>('0' + one.digit);
  EXPECT_EQ(digits, "390909");
}

TEST(Words, UpperCaseMayBeLonger) {
  EXPECT_EQ(upper("straße ŉ"), "STRASSE ʼN");
}

TEST(Words, OnlyTheFirstLetterIsLarge) {
  EXPECT_EQ(capitalised("what BRAND is This?"), "What brand is this?");
  EXPECT_EQ(capitalised("ßA"), "Ssa");
  EXPECT_EQ(capitalised("ǆX"), "ǅx");
  EXPECT_EQ(capitalised("éCOLE ΟΣ"), "École ος");
  EXPECT_EQ(capitalised("3D"), "3d");
  EXPECT_EQ(capitalised("ᾳX ﬁ"), "ᾼx ﬁ");
  EXPECT_EQ(capitalised(""), "");
}

}  // namespace
}  // namespace lithe::text
