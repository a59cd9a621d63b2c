#pragma once

#include <string>

namespace lithe::tasks {

/// Whether an answer is right as ChartQA counts: off by 5 % at most if both are numbers (perhaps with %) and the target
/// is not 0; else the same text but for case.
bool relaxed_match(const std::string& answer, const std::string& target);

}  // namespace lithe::tasks
