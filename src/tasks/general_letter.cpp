#include "tasks/general_letter.h"

#include <array>
#include <cstddef>
#include <utility>

#include "base/trim.h"
#include "text/characters.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

/// Forms of an answer; a higher number is a surer one.
enum Form {
  anywhere = 0,
  before_blank = 2,
  before_bracket = 3,
  before_colon = 4,
  before_period = 5,
  in_brackets = 6,
  after_phrase = 7,
  at_end = 9,
  at_start = 10
};

constexpr std::array kPhrases{"the answer is",
                              "answer is",
                              "the correct answer is",
                              "correct answer is",
                              "the best answer is",
                              "best answer is",
                              "the correct option is",
                              "correct option is",
                              "the best option is",
                              "best option is",
                              "the choice is",
                              "choice is",
                              "the correct choice is",
                              "correct choice is",
                              "i choose",
                              "i select",
                              "i pick",
                              "my answer is",
                              "my choice is",
                              "옵션",
                              "정답은",
                              "답은",
                              "답:",
                              "答案是",
                              "答案为",
                              "选",
                              "答えは"};

/// Without the marks at the ends, each in its turn, and with a blank at each end.
std::string padded(std::string_view answer) {
  std::string text = text::stripped(answer);
  for (const char mark : std::string_view(",.!?;:'\"")) text = trimmed(text, {&mark, 1});
  return " " + text + " ";
}

class Search {
 public:
  Search(std::string_view answer, std::string_view choices)
      : padded_(padded(answer)), text_(text::code_points(padded_)), choices_(choices) {}

  std::string best() {
    add_pieces(U"(", U")", in_brackets);
    add_pieces(U"", U".", before_period);
    add_pieces(U"", U":", before_colon);
    add_pieces(U"", U")", before_bracket);
    add_pieces(U"", U" ", before_blank);
    add_after_phrases();
    add_ends();
    if (letter_ == 0) add_pieces(U"", U"", anywhere);
    return letter_ == 0 ? std::string() : std::string(1, letter_);
  }

 private:
  /// The first of several that are as sure and as late stays.
  void add(char letter, std::size_t place, Form form) {
    if (letter_ != 0 && std::pair(form, place) <= std::pair(form_, place_)) return;
    letter_ = letter;
    place_ = place;
    form_ = form;
  }

  void add_pieces(const std::u32string& before, const std::u32string& after, Form form) {
    for (const char letter : choices_) {
      const std::size_t place = text_.rfind(before + static_cast<char32_t>(letter) + after);
      if (place != text_.npos) add(letter, place, form);
    }
  }

  void add_after_phrases() {
    const std::u32string lower = text::code_points(text::lower(padded_));
    for (const char* phrase : kPhrases) {
      const std::u32string codes = text::code_points(phrase);
      const std::size_t begin = lower.find(codes);
      if (begin == lower.npos) continue;
      for (const char letter : choices_) {
        const std::size_t place = text_.find(static_cast<char32_t>(letter), begin + codes.size());
        if (place != text_.npos) add(letter, place, after_phrase);
      }
    }
  }

  /// A letter that is not a part of a word.
  void add_ends() {
    const text::Characters rest = text::characters_of(text::stripped(padded_));
    if (rest.empty()) return;
    for (const char letter : choices_) {
      const auto is = [&](const text::Character& one) { return one.code == static_cast<char32_t>(letter); };
      if (is(rest.front()) && (rest.size() == 1 || !rest[1].letter)) add(letter, 0, at_start);
      if (is(rest.back()) && (rest.size() == 1 || !rest[rest.size() - 2].letter)) add(letter, text_.size() - 1, at_end);
    }
  }

  std::string padded_;
  std::u32string text_;
  std::string_view choices_;
  char letter_ = 0;
  std::size_t place_ = 0;
  Form form_ = anywhere;
};

}  // namespace

std::string general_letter(std::string_view answer, std::string_view choices) {
  return text::stripped(answer).empty() ? std::string() : Search(answer, choices).best();
}

}  // namespace lithe::tasks
