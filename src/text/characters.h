#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lithe::text {

/// A character of a text, and what Python's str and re know of it.
struct Character {
  char32_t code = 0;
  bool letter = false;  ///< str.isalpha()
  bool number = false;  ///< str.isalnum(), and not a letter.
  bool upper = false;   ///< str.isupper()
  int digit = -1;       ///< int(character) of a decimal digit of any script; -1: it is not one.

  bool word() const { return letter || number || code == '_'; }  ///< \w
};

using Characters = std::vector<Character>;

/// A broken sequence of bytes is one U+FFFD.
Characters characters_of(std::string_view text);
std::string text_of(std::span<const Character> characters);

/// The code points alone, and their number: len().
std::u32string code_points(std::string_view text);
std::size_t length_of(std::string_view text);

/// str.isspace() of one character.
bool is_space(char32_t code);

/// The code point of a whole character.
char32_t code_point(std::string_view character);

}  // namespace lithe::text
