#include "plan/choosing.h"

#include <algorithm>
#include <cmath>

namespace lithe::plan {

void count_choosing(const Rule& rule, const Choice& choice, RowCount& count) {
  const auto [n, k, text] = choice;
  if (rule.by == "router") count.routed += n;
  if (rule.by == "attention") count.probed += n;
  if (rule.by == "similarity") count.compared += n;
  if (n == 0 || k == 0) return;
  if (rule.by == "text_attention") {
    count.compared += n * text;
    count.probed += n * text;
  }
  if (rule.by == "duplication") count.compared += n * (std::min(k, kPivots) + std::min(text, kPivots));
  if (rule.by == "diversity") count.compared += pairs_in_blocks(n) + n * (k - 1);
  if (rule.by == "relevance") {
    count.compared += n + n * k;
    count.folded += n * k * (k - 1) / 2;
  }
  if (rule.by == "class_attention") count.tower_compared += n;
  if (rule.by == "visionzip") {
    count.tower_compared += n;
    count.tower_probed += (n - k) * contextual_rows(k);
    count.reprojected += contextual_rows(k);
  }
  if (rule.by == "prumerge") {
    count.tower_compared += n + n * k;
    count.reprojected += k;
  }
  if (rule.by == "pooled") count.reprojected += k;
}

std::vector<Cell> cells_of_map(int64_t rows, int64_t columns, int64_t cells) {
  std::vector<Cell> all;
  cells = std::min(cells, rows * columns);
  if (cells <= 0) return all;
  const double square = std::sqrt(static_cast<double>(cells * rows) / static_cast<double>(columns));
  const int64_t bands =
      std::clamp<int64_t>(std::llround(square), (cells + columns - 1) / columns, std::min(rows, cells));
  for (int64_t band = 0; band < bands; ++band) {
    const int64_t parts = cells / bands + (band < cells % bands ? 1 : 0);
    const int64_t top = band * rows / bands, bottom = (band + 1) * rows / bands;
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t left = part * columns / parts, right = (part + 1) * columns / parts;
      all.push_back({top, left, bottom - top, right - left});
    }
  }
  return all;
}

}  // namespace lithe::plan
