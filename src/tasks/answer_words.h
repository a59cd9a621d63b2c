#pragma once

#include <string>
#include <string_view>

/// Answers without what does not count: case, punctuation, articles, and whether a number is a word or digits. The
/// rules are those of VQA's evaluation, faults included, since published scores were computed so.
namespace lithe::tasks {

/// As SLAKE and AID are scored (`normalize_word` of LLaVA-Med).  "The lungs, two." -> "lungs 2"
std::string normalized_answer(std::string_view text);

/// As VQAv2 is scored if its references differ: punctuation, numbers, articles, contractions.
std::string vqa_normalized(std::string_view text);

/// What VQA's evaluation does to a model's answer first; vqa_normalized() included.
std::string vqa_answer(std::string_view text);

}  // namespace lithe::tasks
