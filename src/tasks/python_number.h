#pragma once

#include <optional>
#include <string_view>

/// Numbers as the Python programs that define benchmarks read and round them.
namespace lithe::tasks {

/// float(text): spaces around, digits of any script, "_" between digits, "inf" and "nan". Absent for other texts.
std::optional<double> python_float(std::string_view text);

/// round(value, places): to the nearest decimal of the exact binary value.  round(2.675, 2) == 2.67
double python_round(double value, int places);

}  // namespace lithe::tasks
