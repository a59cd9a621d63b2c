#pragma once

#include <string>

namespace lithe::tasks {

/// Whether an answer is the expected one but for white space at the ends.
bool matches(const std::string& answer, const std::string& expected);

}  // namespace lithe::tasks
