#include "cli/suggestion.h"

#include <algorithm>
#include <numeric>

namespace lithe::cli {
namespace {

constexpr std::size_t kLongestName = 64;

/// Characters to add, remove, replace, or swap with their neighbour.
std::size_t edits_between(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

/// "--temperature" for "--temp", "--heat" for "--heat-map".
bool continues(const std::string& longer, const std::string& shorter) {
  return shorter.size() >= 5 && longer.starts_with(shorter);
}

}  // namespace

std::string closest_name(const std::string& word, const std::vector<std::string>& names) {
  if (word.size() < 3 || word.size() > kLongestName) return {};  // a flag of one letter is like every other
  std::string best;
  std::size_t fewest = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& name : names) {
    const std::size_t edits = continues(word, name) || continues(name, word) ? 1 : edits_between(word, name);
    if (edits < fewest) {
      fewest = edits;
      best = name;
    }
  }
  return best;
}

}  // namespace lithe::cli
