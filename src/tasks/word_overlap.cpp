#include "tasks/word_overlap.h"

#include <cstdint>
#include <map>

#include "tasks/answer_words.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

std::map<std::string, int64_t> counted_words(const std::string& text) {
  std::map<std::string, int64_t> words;
  for (std::string& word : text::words_of(text::lower(text))) ++words[std::move(word)];
  return words;
}

}  // namespace

WordOverlap word_overlap(const std::string& answer, const std::string& reference) {
  const auto given = counted_words(normalized_answer(answer)), wanted = counted_words(normalized_answer(reference));
  int64_t shared = 0, all = 0, shared_count = 0, missing = 0;
  for (const auto& [word, count] : given) {
    all += count;
    if (wanted.contains(word)) shared_count += count;
  }
  for (const auto& [word, count] : wanted) {
    if (given.contains(word))
      ++shared;
    else
      missing += count;
  }
  WordOverlap overlap;
  if (all > 0) overlap.exact = static_cast<double>(shared) / static_cast<double>(all);
  if (shared_count == 0) return overlap;
  overlap.precision = static_cast<double>(shared_count) / static_cast<double>(all);
  overlap.recall = static_cast<double>(shared_count) / static_cast<double>(shared_count + missing);
  overlap.f1 = 2 * overlap.precision * overlap.recall / (overlap.precision + overlap.recall);
  return overlap;
}

}  // namespace lithe::tasks
