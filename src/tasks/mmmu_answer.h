#pragma once

#include <string>
#include <vector>

#include "base/json.h"

/// How MMMU's evaluation reads answers.
namespace lithe::tasks {

/// The letter of an option that an answer in words means. Empty: none can be told, and the evaluation draws one.
std::string mmmu_letter(const std::string& answer, const std::vector<std::string>& options);

/// What may be the answer to an open question.
struct MmmuValues {
  std::vector<double> numbers;     ///< Rounded to two places; each once, in ascending order, NaN last.
  std::vector<std::string> texts;  ///< In lower case; each once, sorted.
};

/// The numbers and texts that an answer in words may mean.
MmmuValues mmmu_values(const std::string& answer);

/// Whether one of them is the reference: the same number, or a text that holds it.
bool mmmu_match(const MmmuValues& values, const std::string& reference);

/// [12.5, "12.5 grams"]; numbers that are not finite as {"float": "inf"}.
Json to_json(const MmmuValues& values);

/// The numbers in a text, as they are written there.
std::vector<std::string> numbers_in(const std::string& text);

}  // namespace lithe::tasks
