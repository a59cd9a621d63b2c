#pragma once

#include <cstdint>
#include <span>
#include <vector>

// What METER's heads are scored by, over the scores that they give.
namespace lithe::tasks {

/// A table of scores, row by row.
struct ScoreTable {
  int64_t columns = 0;
  std::span<const float> values;  ///< [rows, columns]

  int64_t rows() const { return columns == 0 ? 0 : static_cast<int64_t>(values.size()) / columns; }
  std::span<const float> row(int64_t i) const {
    return values.subspan(static_cast<size_t>(i * columns), static_cast<size_t>(columns));
  }
};

/// The share of rows whose highest column is the label; of equals the first counts. Rows with the label -100 are left
/// out.
double accuracy(const ScoreTable& scores, std::span<const int64_t> labels);

/// VQAv2: the mean over rows of what the answer with the highest score is worth there.  worth: as `scores`.
double vqa_score(const ScoreTable& scores, const ScoreTable& worth);

/// The share of right answers among the first k.
struct Recall {
  double at_1 = 0, at_5 = 0, at_10 = 0;
};

/// Retrieval over a whole gallery.
struct Recalls {
  Recall image;  ///< Of captions: their image is among the first k images.
  Recall text;   ///< Of images: one of their captions is among the first k captions.
};

/// scores: [images, captions]; image_of: of each caption. A caption or image before another of equal score is the one
/// with the lower number. Throws Error{bad_request} if the table does not fit the captions.
Recalls recalls(const ScoreTable& scores, std::span<const int64_t> image_of);

}  // namespace lithe::tasks
