#include "tasks/vqa_accuracy.h"

#include <algorithm>
#include <cstdint>
#include <set>

#include "tasks/answer_words.h"
#include "text/words.h"

namespace lithe::tasks {

double vqa_accuracy(const std::string& answer, std::vector<std::string> references) {
  if (references.empty()) return 0;
  for (std::string& reference : references) {
    std::replace_if(
        reference.begin(), reference.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
    reference = text::stripped(reference);
  }
  std::string given = vqa_answer(answer);
  if (std::set(references.begin(), references.end()).size() > 1) {
    for (std::string& reference : references) reference = vqa_normalized(reference);
    given = vqa_normalized(given);
  }
  return agreement(given, references);
}

double agreement(const std::string& given, const std::vector<std::string>& references) {
  if (references.empty()) return 0;
  const auto matches = std::count(references.begin(), references.end(), given);
  const auto share = [](int64_t count) { return std::min(1.0, static_cast<double>(count) / 3); };
  const auto all = static_cast<int64_t>(references.size());
  return (static_cast<double>(matches) * share(matches - 1) + static_cast<double>(all - matches) * share(matches)) /
         static_cast<double>(all);
}

}  // namespace lithe::tasks
