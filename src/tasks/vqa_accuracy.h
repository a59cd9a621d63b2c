#pragma once

#include <string>
#include <vector>

namespace lithe::tasks {

/// VQA's accuracy of an answer beside the answers of several people: for each of them the share min(1, matches / 3)
/// among the others, and the mean of these. 0 without references.
double vqa_accuracy(const std::string& answer, std::vector<std::string> references);

/// The same of texts that are compared as they are.
double agreement(const std::string& given, const std::vector<std::string>& references);

}  // namespace lithe::tasks
