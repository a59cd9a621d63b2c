#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "plan/cost.h"
#include "plan/plan.h"

/// What a selector computes to choose, and the numbers that its count and its code share.
namespace lithe::plan {

/// DART's pivots: so many vision tokens, and so many text tokens.
constexpr int64_t kPivots = 4;

/// Rows whose products with other rows are computed at once, so that no matrix of all rows with all rows is formed.
constexpr int64_t kBlockRows = 256;

/// Products of n rows with each other: each block with the rows from its first on.
constexpr int64_t pairs_in_blocks(int64_t n) {
  int64_t pairs = 0;
  for (int64_t first = 0; first < n; first += kBlockRows) pairs += std::min(kBlockRows, n - first) * (n - first);
  return pairs;
}

/// How many of k kept tokens VisionZip makes of merged ones: 10 of 64, as published.
constexpr int64_t contextual_rows(int64_t k) {
  return k * 10 / 64;
}

/// How many tokens a rule chooses from, how many it keeps, and how many text tokens come after the first of them.
struct Choice {
  int64_t rows = 0, kept = 0, text = 0;
};

/// Adds the products that the rule's selector computes. If the number depends on the prompt, the largest counts.
void count_choosing(const Rule& rule, const Choice& choice, RowCount& count);

/// A map of patches cut into `cells` parts: bands of rows, and parts of each band. Each part is as near to a square as
/// the number allows.
struct Cell {
  int64_t row = 0, column = 0, rows = 0, columns = 0;
};
std::vector<Cell> cells_of_map(int64_t rows, int64_t columns, int64_t cells);

}  // namespace lithe::plan
