#pragma once

#include <string>

namespace lithe::tasks {

/// How the words of an answer agree with those of the reference, both normalised. 0 to 1.
struct WordOverlap {
  double exact = 0;  ///< Different words of the reference that the answer has, over the number of the answer's words.
  double f1 = 0, precision = 0, recall = 0;
};

/// As LLaVA-Med computes it; its "exact match" is the share above.
WordOverlap word_overlap(const std::string& answer, const std::string& reference);

}  // namespace lithe::tasks
