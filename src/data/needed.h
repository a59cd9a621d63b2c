#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/json.h"

namespace lithe::data {

/// The column that says which vision tokens tell a record's answer.
inline constexpr const char* kNeeded = "needed";

/// Record::needed of a row with this many pictures: a list of whole numbers if there is one picture, else a list of
/// such lists. Empty if the row has none; a value of another kind is another data set's own. Throws Error{bad_file} for
/// a number below 0, or if there is not one list for each picture.
std::vector<std::vector<int64_t>> needed_in(const Json& row, std::size_t pictures);

}  // namespace lithe::data
