#include "base/suggestion.h"

#include <algorithm>

#include "base/edits.h"

namespace lithe {
namespace {

constexpr std::size_t kLongestName = 64;

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

}  // namespace lithe
