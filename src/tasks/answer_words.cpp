#include "tasks/answer_words.h"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "text/characters.h"
#include "text/message.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

constexpr std::string_view kPunctuation = ";/[]\"{}()=+\\_-><@`,?!";

/// `re.sub(.., re.UNICODE)` passes that flag in the place of a count, and its number is 32.
constexpr int kMostPeriods = 32;

const std::map<std::string, std::string, std::less<>> kNumbers{
    {"none", "0"}, {"zero", "0"}, {"one", "1"},   {"two", "2"},   {"three", "3"}, {"four", "4"},
    {"five", "5"}, {"six", "6"},  {"seven", "7"}, {"eight", "8"}, {"nine", "9"},  {"ten", "10"}};

/// Without those that the published table spells with a capital: it is asked for words in lower case.
const std::map<std::string, std::string, std::less<>> kContractions{
    {"aint", "ain't"},
    {"arent", "aren't"},
    {"cant", "can't"},
    {"couldve", "could've"},
    {"couldnt", "couldn't"},
    {"couldn'tve", "couldn't've"},
    {"couldnt've", "couldn't've"},
    {"didnt", "didn't"},
    {"doesnt", "doesn't"},
    {"dont", "don't"},
    {"hadnt", "hadn't"},
    {"hadnt've", "hadn't've"},
    {"hadn'tve", "hadn't've"},
    {"hasnt", "hasn't"},
    {"havent", "haven't"},
    {"hed", "he'd"},
    {"hed've", "he'd've"},
    {"he'dve", "he'd've"},
    {"hes", "he's"},
    {"howd", "how'd"},
    {"howll", "how'll"},
    {"hows", "how's"},
    {"isnt", "isn't"},
    {"itd", "it'd"},
    {"itd've", "it'd've"},
    {"it'dve", "it'd've"},
    {"itll", "it'll"},
    {"let's", "let's"},
    {"maam", "ma'am"},
    {"mightnt", "mightn't"},
    {"mightnt've", "mightn't've"},
    {"mightn'tve", "mightn't've"},
    {"mightve", "might've"},
    {"mustnt", "mustn't"},
    {"mustve", "must've"},
    {"neednt", "needn't"},
    {"notve", "not've"},
    {"oclock", "o'clock"},
    {"oughtnt", "oughtn't"},
    {"ow's'at", "'ow's'at"},
    {"'ows'at", "'ow's'at"},
    {"'ow'sat", "'ow's'at"},
    {"shant", "shan't"},
    {"shed've", "she'd've"},
    {"she'dve", "she'd've"},
    {"she's", "she's"},
    {"shouldve", "should've"},
    {"shouldnt", "shouldn't"},
    {"shouldnt've", "shouldn't've"},
    {"shouldn'tve", "shouldn't've"},
    {"somebody'd", "somebodyd"},
    {"somebodyd've", "somebody'd've"},
    {"somebody'dve", "somebody'd've"},
    {"somebodyll", "somebody'll"},
    {"somebodys", "somebody's"},
    {"someoned", "someone'd"},
    {"someoned've", "someone'd've"},
    {"someone'dve", "someone'd've"},
    {"someonell", "someone'll"},
    {"someones", "someone's"},
    {"somethingd", "something'd"},
    {"somethingd've", "something'd've"},
    {"something'dve", "something'd've"},
    {"somethingll", "something'll"},
    {"thats", "that's"},
    {"thered", "there'd"},
    {"thered've", "there'd've"},
    {"there'dve", "there'd've"},
    {"therere", "there're"},
    {"theres", "there's"},
    {"theyd", "they'd"},
    {"theyd've", "they'd've"},
    {"they'dve", "they'd've"},
    {"theyll", "they'll"},
    {"theyre", "they're"},
    {"theyve", "they've"},
    {"twas", "'twas"},
    {"wasnt", "wasn't"},
    {"wed've", "we'd've"},
    {"we'dve", "we'd've"},
    {"weve", "we've"},
    {"werent", "weren't"},
    {"whatll", "what'll"},
    {"whatre", "what're"},
    {"whats", "what's"},
    {"whatve", "what've"},
    {"whens", "when's"},
    {"whered", "where'd"},
    {"wheres", "where's"},
    {"whereve", "where've"},
    {"whod", "who'd"},
    {"whod've", "who'd've"},
    {"who'dve", "who'd've"},
    {"wholl", "who'll"},
    {"whos", "who's"},
    {"whove", "who've"},
    {"whyll", "why'll"},
    {"whyre", "why're"},
    {"whys", "why's"},
    {"wont", "won't"},
    {"wouldve", "would've"},
    {"wouldnt", "wouldn't"},
    {"wouldnt've", "wouldn't've"},
    {"wouldn'tve", "wouldn't've"},
    {"yall", "y'all"},
    {"yall'll", "y'all'll"},
    {"y'allll", "y'all'll"},
    {"yall'd've", "y'all'd've"},
    {"y'alld've", "y'all'd've"},
    {"y'all'dve", "y'all'd've"},
    {"youd", "you'd"},
    {"youd've", "you'd've"},
    {"you'dve", "you'd've"},
    {"youll", "you'll"},
    {"youre", "you're"},
    {"youve", "you've"},
};

/// Digits are those of every script: the published rules are patterns of Python.
bool is_digit(const text::Characters& text, std::size_t at) {
  return at < text.size() && text[at].digit >= 0;
}

/// "1,000"; with `several`, "1,,000" too.
bool has_comma_between_digits(const text::Characters& text, bool several) {
  for (std::size_t at = 1; at < text.size(); ++at) {
    if (text[at].code != ',' || !is_digit(text, at - 1)) continue;
    std::size_t end = at + 1;
    while (several && end < text.size() && text[end].code == ',') ++end;
    if (is_digit(text, end)) return true;
  }
  return false;
}

std::string without_periods(std::string_view text) {
  const text::Characters all = text::characters_of(text);
  text::Characters rest;
  int removed = 0;
  for (std::size_t at = 0; at < all.size(); ++at) {
    if (all[at].code == '.' && !is_digit(all, at + 1) && removed < kMostPeriods)
      ++removed;
    else
      rest.push_back(all[at]);
  }
  return text::text_of(rest);
}

/// Each mark goes if it has a blank beside it somewhere, or if the text has a comma between digits; else it becomes a
/// blank.
std::string without_punctuation(std::string_view text, bool several) {
  const bool comma = has_comma_between_digits(text::characters_of(text), several);
  std::string rest;
  for (const char c : text) {
    if (kPunctuation.find(c) == kPunctuation.npos) {
      rest += c;
      continue;
    }
    const std::array<char, 2> before{' ', c}, after{c, ' '};
    const bool beside = text.find(std::string_view(before.data(), 2)) != text.npos ||
                        text.find(std::string_view(after.data(), 2)) != text.npos;
    if (!comma && !beside) rest += ' ';
  }
  return without_periods(rest);
}

std::string plain_words(std::string_view text) {
  std::vector<std::string> kept;
  for (std::string& word : text::words_of(text::lower(text))) {
    const auto number = kNumbers.find(word);
    if (number != kNumbers.end()) word = number->second;
    if (word == "a" || word == "an" || word == "the") continue;
    const auto contraction = kContractions.find(word);
    kept.push_back(contraction == kContractions.end() ? std::move(word) : contraction->second);
  }
  return text::joined(kept);
}

}  // namespace

std::string normalized_answer(std::string_view text) {
  return text::replaced(plain_words(without_punctuation(text, false)), ",", "");
}

std::string vqa_normalized(std::string_view text) {
  return plain_words(without_punctuation(text, true));
}

std::string vqa_answer(std::string_view text) {
  std::string answer = text::replaced(text::replaced(text::lower(text), ",", ""), "?", "");
  answer = text::replaced(answer, "'s", " 's");
  std::replace_if(
      answer.begin(), answer.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return vqa_normalized(text::stripped(answer));
}

}  // namespace lithe::tasks
