#pragma once

#include <array>
#include <string>

namespace lithe::tasks {

/// BLEU of one sentence beside one reference (ACL P02-1040), split at white space, in lower case, without smoothing. A
/// precision of 0 counts as the smallest float64, as NLTK has it; without a common word the score is 0.
///   weights: of the precisions of 1 to 4 words.
double sentence_bleu(const std::string& answer, const std::string& reference, const std::array<double, 4>& weights);

}  // namespace lithe::tasks
