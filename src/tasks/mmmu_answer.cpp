#include "tasks/mmmu_answer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/trim.h"
#include "tasks/option_lines.h"
#include "tasks/python_number.h"
#include "text/characters.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

constexpr std::array kIndicators{"could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result "};
constexpr std::string_view kTrivial = ":,.!?;'";

/// The option that stands last; of several in one place, the first. `place`: where an option stands, npos if nowhere.
template <class Place>
std::string last_of(const std::vector<std::size_t>& options, const Place& place) {
  std::size_t last = options.front();
  const auto after = [&](std::size_t option) { return place(option) + 1; };  // npos is before everything
  for (const std::size_t option : options)
    if (after(option) > after(last)) last = option;
  return option_letter(last);
}

/// The options for which a piece of text is in the answer.
template <class Piece>
std::vector<std::size_t> options_with(const std::string& text, std::size_t count, const Piece& piece) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < count; ++i)
    if (text.find(piece(i)) != text.npos) found.push_back(i);
  return found;
}

/// What comes after the last of these words.
std::string after_last(const std::string& text, const std::string& indicator) {
  return text::stripped(text.substr(text.rfind(indicator) + indicator.size()));
}

/// The shortest rest of a line after a word like "is"; empty if there is none.
std::string key_of_line(const std::string& line, bool last) {
  std::string shortest;
  const auto consider = [&](const std::string& indicator) {
    if (line.find(indicator) == line.npos) return;
    std::string rest = after_last(line, indicator);
    if (shortest.empty() || text::length_of(rest) < text::length_of(shortest)) shortest = std::move(rest);
  };
  for (const char* indicator : kIndicators) consider(indicator);
  if (last) consider("=");  // an equation may be the whole answer
  const bool trivial = shortest.size() == 1 && kTrivial.find(shortest.front()) != kTrivial.npos;
  return trivial ? std::string() : shortest;
}

/// The pieces of an answer that may hold what was asked for.
std::vector<std::string> key_pieces(const std::string& answer) {
  const std::string lower = text::lower(trimmed(text::stripped(answer), "."));
  std::vector<std::string> keys;
  for (std::size_t at = 0; at <= lower.size();) {
    const std::size_t end = std::min(lower.find('\n', at), lower.size());
    std::string key = key_of_line(lower.substr(at, end - at), end == lower.size());
    if (!key.empty()) keys.push_back(std::move(key));
    at = end + 1;
  }
  return keys.empty() ? std::vector{lower} : keys;
}

void put_value(const std::string& piece, MmmuValues& values) {
  const std::string text = text::stripped(piece);
  std::string digits = text;
  digits.erase(std::remove(digits.begin(), digits.end(), ','), digits.end());
  if (const std::optional<double> number = python_float(digits)) {
    values.numbers.push_back(python_round(*number, 2));
    return;
  }
  const std::string lower = text::lower(text);
  if (text::length_of(lower) != 1) return values.texts.push_back(lower);
  values.texts.push_back(" " + lower);  // a lone letter is in many words
  values.texts.push_back(lower + " ");
}

/// Each value once, NaN last.
void tidy(MmmuValues& values) {
  std::sort(values.numbers.begin(), values.numbers.end(), [](double a, double b) {
    return std::isnan(a) || std::isnan(b) ? !std::isnan(a) && std::isnan(b) : a < b;
  });
  values.numbers.erase(std::unique(values.numbers.begin(), values.numbers.end()), values.numbers.end());
  std::sort(values.texts.begin(), values.texts.end());
  values.texts.erase(std::unique(values.texts.begin(), values.texts.end()), values.texts.end());
}

Json to_json(double number) {
  if (std::isfinite(number)) return number;
  return {{"float", std::isnan(number) ? "nan" : number > 0 ? "inf" : "-inf"}};
}

}  // namespace

std::string mmmu_letter(const std::string& answer, const std::vector<std::string>& options) {
  std::string text = text::stripped(answer);
  for (const char mark : std::string_view(",.!?;:'")) text = trimmed(text, {&mark, 1});
  text = " " + text + " ";
  const auto framed = [&](const char* before, const char* after) {
    return [before, after](std::size_t i) { return concat(before, option_letter(i), after); };
  };
  const auto bracketed = options_with(text, options.size(), framed("(", ")"));
  if (!bracketed.empty()) return last_of(bracketed, [&](std::size_t i) { return text.rfind(framed("(", ")")(i)); });
  auto named = options_with(text, options.size(), framed("", " "));
  if (named.empty()) named = options_with(text, options.size(), framed("", "."));
  if (!named.empty()) return last_of(named, [&](std::size_t i) { return text.rfind(framed(" ", " ")(i)); });
  if (text::words_of(text).size() <= 5) return {};
  const std::string lower = text::lower(text);
  const auto option = [&](std::size_t i) { return text::lower(options[i]); };
  const auto told = options_with(lower, options.size(), option);
  return told.empty() ? std::string() : last_of(told, [&](std::size_t i) { return lower.rfind(option(i)); });
}

MmmuValues mmmu_values(const std::string& answer) {
  MmmuValues values;
  for (const std::string& key : key_pieces(answer)) {
    put_value(key, values);
    for (const std::string& number : numbers_in(key)) put_value(number, values);
  }
  tidy(values);
  return values;
}

bool mmmu_match(const MmmuValues& values, const std::string& reference) {
  MmmuValues wanted;
  put_value(reference, wanted);
  for (const double number : wanted.numbers)
    if (std::find(values.numbers.begin(), values.numbers.end(), number) != values.numbers.end()) return true;
  for (const std::string& piece : wanted.texts)
    for (const std::string& text : values.texts)
      if (text.find(piece) != text.npos) return true;
  return false;
}

Json to_json(const MmmuValues& values) {
  Json list = Json::array();
  for (const double number : values.numbers) list.push_back(to_json(number));
  for (const std::string& text : values.texts) list.push_back(text);
  return list;
}

}  // namespace lithe::tasks
