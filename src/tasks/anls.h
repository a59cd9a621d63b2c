#pragma once

#include <string>
#include <vector>

namespace lithe::tasks {

/// How alike an answer is to the reference that it is most alike to: 1 - edits / length of the longer text; 0 below
/// 0.5. Case and the amount of white space count for the length only. 0 without references.
double anls(const std::string& answer, const std::vector<std::string>& references);

}  // namespace lithe::tasks
