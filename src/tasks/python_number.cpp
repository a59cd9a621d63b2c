#include "tasks/python_number.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>

#include "base/lower_case.h"
#include "text/characters.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// The text with digits 0 to 9 for those of every script; other characters that are not ASCII become "?".
std::string with_plain_digits(std::string_view text) {
  std::string plain;
  for (const text::Character& one : text::characters_of(text::stripped(text)))
    plain += one.digit >= 0 ? static_cast<char>('0' + one.digit) : one.code < 0x80 ? static_cast<char>(one.code) : '?';
  return plain;
}

/// Absent if one does not stand between two digits.
std::optional<std::string> without_underscores(const std::string& text) {
  std::string rest;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      rest += text[i];
      continue;
    }
    if (i == 0 || i + 1 == text.size() || !is_digit(text[i - 1]) || !is_digit(text[i + 1])) return std::nullopt;
  }
  return rest;
}

std::size_t digits_from(std::string_view text, std::size_t& at) {
  const std::size_t begin = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  return at - begin;
}

/// Digits with a point or without, and perhaps an exponent.
bool is_decimal(std::string_view text) {
  std::size_t at = 0;
  std::size_t digits = digits_from(text, at);
  if (at < text.size() && text[at] == '.') digits += digits_from(text, ++at);
  if (digits == 0) return false;
  if (at == text.size()) return true;
  if (text[at] != 'e' && text[at] != 'E') return false;
  ++at;
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
  return digits_from(text, at) > 0 && at == text.size();
}

/// Of a number beyond the range of double: its exponent tells which end.
double beyond_range(std::string_view text) {
  const std::size_t mark = text.find_first_of("eE");
  const bool small =
      mark != text.npos ? text.substr(mark + 1).starts_with('-') : text.starts_with("0") || text[0] == '.';
  return small ? 0 : std::numeric_limits<double>::infinity();
}

}  // namespace

std::optional<double> python_float(std::string_view text) {
  const std::optional<std::string> plain = without_underscores(with_plain_digits(text));
  if (!plain || plain->empty()) return std::nullopt;
  const bool sign = plain->front() == '+' || plain->front() == '-';
  const double factor = plain->front() == '-' ? -1 : 1;
  const std::string rest = plain->substr(sign ? 1 : 0), word = in_lower_case(rest);
  if (word == "inf" || word == "infinity") return factor * std::numeric_limits<double>::infinity();
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (!is_decimal(rest)) return std::nullopt;
  double value = 0;
  const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  return factor * (read.ec == std::errc::result_out_of_range ? beyond_range(rest) : value);
}

double python_round(double value, int places) {
  if (!std::isfinite(value)) return value;
  std::array<char, 400> digits{};
  const auto written =
      std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::fixed, places);
  double rounded = value;
  std::from_chars(digits.data(), written.ptr, rounded);
  return rounded;
}

}  // namespace lithe::tasks
