#include "cli/number.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "base/printable.h"

namespace lithe::cli {
namespace {

template <class Whole>
Whole whole(const std::string& text, const std::string& flag, Whole lowest, Whole highest) {
  Whole value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  require(error == std::errc() && end == last && value >= lowest && value <= highest, Fault::bad_request, flag, " is ",
          in_quotes(text), "; give a whole number from ", lowest, " to ", highest, ".");
  return value;
}

}  // namespace

int64_t whole_number(const std::string& text, const std::string& flag, int64_t lowest, int64_t highest) {
  return whole(text, flag, lowest, highest);
}

uint64_t whole_number(const std::string& text, const std::string& flag, uint64_t lowest, uint64_t highest) {
  return whole(text, flag, lowest, highest);
}

double decimal_number(const std::string& text, const DecimalFlag& flag, const std::string& name) {
  double value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  // Too large or too close to 0 for a double: strtod tells which.
  if (error == std::errc::result_out_of_range) value = std::strtod(text.c_str(), nullptr);
  const bool is_number = error != std::errc::invalid_argument && end == last && std::isfinite(value);
  const bool fits = value <= flag.highest && (flag.above_lowest ? value > flag.lowest : value >= flag.lowest);
  require(is_number && fits, Fault::bad_request, name, " is ", in_quotes(text), "; give a number ",
          flag.above_lowest ? "above " : "from ", flag.lowest, flag.above_lowest ? " and at most " : " to ",
          flag.highest, ".");
  return value;
}

}  // namespace lithe::cli
