#include "tasks/relaxed_accuracy.h"

#include <cmath>
#include <optional>

#include "tasks/python_number.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

constexpr double kMostOff = 0.05;

std::optional<double> number_of(const std::string& text) {
  if (!text.ends_with('%')) return python_float(text);
  const std::optional<double> percent = python_float(text.substr(0, text.find_last_not_of('%') + 1));
  return percent ? std::optional(*percent / 100.0) : std::nullopt;
}

}  // namespace

bool relaxed_match(const std::string& answer, const std::string& target) {
  const std::string given = text::stripped(answer);
  const std::optional<double> number = number_of(given), wanted = number_of(target);
  if (!number || !wanted || *wanted == 0) return text::lower(given) == text::lower(target);
  return std::abs(*number - *wanted) / std::abs(*wanted) <= kMostOff;
}

}  // namespace lithe::tasks
