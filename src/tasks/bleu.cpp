#include "tasks/bleu.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "text/words.h"

namespace lithe::tasks {
namespace {

using Words = std::vector<std::string>;

std::map<Words, int64_t> counted_runs(const Words& words, std::size_t length) {
  std::map<Words, int64_t> runs;
  for (std::size_t at = 0; at + length <= words.size(); ++at) {
    const auto begin = words.begin() + static_cast<std::ptrdiff_t>(at);
    ++runs[Words(begin, begin + static_cast<std::ptrdiff_t>(length))];
  }
  return runs;
}

/// Runs of words of the answer that the reference has too, each at most as often as there, over all.
double precision_of(const Words& answer, const Words& reference, std::size_t length) {
  const auto given = counted_runs(answer, length), wanted = counted_runs(reference, length);
  int64_t shared = 0, all = 0;
  for (const auto& [run, count] : given) {
    all += count;
    const auto found = wanted.find(run);
    shared += found == wanted.end() ? 0 : std::min(count, found->second);
  }
  return static_cast<double>(shared) / static_cast<double>(std::max<int64_t>(1, all));
}

}  // namespace

double sentence_bleu(const std::string& answer, const std::string& reference, const std::array<double, 4>& weights) {
  const Words given = text::words_of(text::lower(answer)), wanted = text::words_of(text::lower(reference));
  double sum = 0;
  for (std::size_t length = 1; length <= weights.size(); ++length) {
    const double precision = precision_of(given, wanted, length);
    if (length == 1 && precision == 0) return 0;
    sum += weights[length - 1] * std::log(precision > 0 ? precision : std::numeric_limits<double>::min());
  }
  const double ratio = static_cast<double>(wanted.size()) / static_cast<double>(given.size());
  const double brevity = given.size() > wanted.size() ? 1 : std::exp(1 - ratio);
  return brevity * std::exp(sum);
}

}  // namespace lithe::tasks
