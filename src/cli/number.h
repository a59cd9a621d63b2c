#pragma once

#include <cstdint>
#include <string>

#include "cli/cli11.h"

/// Flags that take a number. The text is read strictly: decimal digits only, no sign "+", no spaces, no hexadecimal,
/// nothing after the number, no infinity.
namespace lithe::cli {

/// The end of a range that has none of its own.
inline constexpr int64_t kMostCount = 1'000'000'000;

/// A flag with a whole number from `lowest` to `highest`.
template <class Whole>
struct WholeFlag {
  const char* names;
  const char* what;
  Whole lowest = 0, highest = kMostCount;
  const char* type_name = "N";
};

/// A flag with a decimal number ("0.7", "1e-3") from `lowest` (or above it) to `highest`.
struct DecimalFlag {
  const char* names;
  const char* what;
  double lowest = 0, highest = 1;
  bool above_lowest = false;
  const char* type_name = "X";
};

/// The number that `text` is. Throw Error{bad_request} with the flag, the text and the range.
int64_t whole_number(const std::string& text, const std::string& flag, int64_t lowest, int64_t highest);
uint64_t whole_number(const std::string& text, const std::string& flag, uint64_t lowest, uint64_t highest);
double decimal_number(const std::string& text, const DecimalFlag& flag, const std::string& name);

/// Declares a flag that sets `target`: a number or an optional one.
template <class Whole, class Target>
CLI::Option* add_whole(CLI::App& app, Target& target, const WholeFlag<Whole>& flag) {
  const auto name = std::make_shared<std::string>();
  const auto take = [&target, flag, name](const std::string& text) {
    target = whole_number(text, *name, flag.lowest, flag.highest);
  };
  CLI::Option* const option = app.add_option_function<std::string>(flag.names, take, flag.what);
  *name = option->get_name();
  return option->type_name(flag.type_name);
}

template <class Target>
CLI::Option* add_count(CLI::App& app, Target& target, const WholeFlag<int64_t>& flag) {
  return add_whole<int64_t>(app, target, flag);
}

template <class Target>
CLI::Option* add_decimal(CLI::App& app, Target& target, const DecimalFlag& flag) {
  const auto name = std::make_shared<std::string>();
  const auto take = [&target, flag, name](const std::string& text) { target = decimal_number(text, flag, *name); };
  CLI::Option* const option = app.add_option_function<std::string>(flag.names, take, flag.what);
  *name = option->get_name();
  return option->type_name(flag.type_name);
}

}  // namespace lithe::cli
