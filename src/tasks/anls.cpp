#include "tasks/anls.h"

#include <algorithm>
#include <cstddef>

#include "text/characters.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

constexpr double kLeast = 0.5;

std::size_t edits_between(const std::u32string& a, const std::u32string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t k = 0; k <= b.size(); ++k) row[k] = k;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t k = 0; k < b.size(); ++k) {
      const std::size_t same = diagonal;
      diagonal = row[k + 1];
      row[k + 1] = a[i] == b[k] ? same : 1 + std::min({same, diagonal, row[k]});
    }
  }
  return row.back();
}

std::u32string compared(const std::string& text) {
  return text::code_points(text::joined(text::words_of(text::lower(text))));
}

}  // namespace

double anls(const std::string& answer, const std::vector<std::string>& references) {
  const std::string given = text::stripped(answer);
  const std::u32string characters = compared(given);
  const std::size_t given_length = text::length_of(text::upper(given));
  double best = 0;
  for (const std::string& reference : references) {
    // Letters in upper case can be more than those in lower case; the published code counts them so.
    const std::size_t length = std::max(text::length_of(text::upper(reference)), given_length);
    const auto edits = static_cast<double>(edits_between(compared(reference), characters));
    best = std::max(best, length == 0 ? 1 : 1 - edits / static_cast<double>(length));
  }
  return best < kLeast ? 0 : best;
}

}  // namespace lithe::tasks
