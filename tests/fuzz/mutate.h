#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace lithe::test {

/// Overwrites, cuts, doubles or splices in one of `pieces`, which often matter. The first `fixed` bytes stay.
inline void mutate(std::string& text, std::mt19937& random, const std::vector<std::string>& pieces,
                   std::size_t fixed = 0) {
  const auto below = [&random](std::size_t n) { return n == 0 ? 0 : random() % n; };
  const std::size_t at = fixed + below(text.size());
  if (fixed > 0 && at >= text.size()) return;
  const std::size_t length = below(24);
  switch (below(4)) {
    case 0:
      if (!text.empty()) text[at] = static_cast<char>(below(256));
      break;
    case 1:
      text.erase(at, length);
      break;
    case 2:
      text.insert(at, text.substr(at, length));
      break;
    default:
      text.replace(at, std::min(length / 4, text.size() - at), pieces[below(pieces.size())]);
  }
}

}  // namespace lithe::test
