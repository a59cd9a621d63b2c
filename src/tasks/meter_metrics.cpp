#include "tasks/meter_metrics.h"

#include <algorithm>

#include "base/error.h"

namespace lithe::tasks {
namespace {

size_t highest(std::span<const float> row) {
  return static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

/// Counts how often a rank, from 0, is among the first k.
class RankCount {
 public:
  void add(int64_t rank) {
    ++all_;
    at_1_ += rank < 1;
    at_5_ += rank < 5;
    at_10_ += rank < 10;
  }
  Recall recall() const {
    const double all = all_ > 0 ? all_ : 1;
    return {at_1_ / all, at_5_ / all, at_10_ / all};
  }

 private:
  double all_ = 0, at_1_ = 0, at_5_ = 0, at_10_ = 0;
};

/// Whether candidate a comes before b.
bool before(float score_a, int64_t a, float score_b, int64_t b) {
  return score_a != score_b ? score_a > score_b : a < b;
}

}  // namespace

double accuracy(const ScoreTable& scores, std::span<const int64_t> labels) {
  constexpr int64_t kLeftOut = -100;
  int64_t right = 0, counted = 0;
  for (int64_t i = 0; i < scores.rows(); ++i) {
    const int64_t label = labels[static_cast<size_t>(i)];
    if (label == kLeftOut) continue;
    ++counted;
    right += static_cast<int64_t>(highest(scores.row(i))) == label;
  }
  return counted == 0 ? 0 : static_cast<double>(right) / static_cast<double>(counted);
}

double vqa_score(const ScoreTable& scores, const ScoreTable& worth) {
  double sum = 0;
  for (int64_t i = 0; i < scores.rows(); ++i) sum += double{worth.row(i)[highest(scores.row(i))]};
  return scores.rows() == 0 ? 0 : sum / static_cast<double>(scores.rows());
}

Recalls recalls(const ScoreTable& scores, std::span<const int64_t> image_of) {
  const int64_t images = scores.rows(), captions = scores.columns;
  require(static_cast<int64_t>(image_of.size()) == captions, Fault::bad_request, "the table of scores has ", captions,
          " captions, but the images of ", image_of.size(), " are known");
  RankCount image_rank, text_rank;
  for (int64_t caption = 0; caption < captions; ++caption) {
    const int64_t own = image_of[static_cast<size_t>(caption)];
    require(own >= 0 && own < images, Fault::bad_request, "caption ", caption, " is of image ", own, ", but there are ",
            images, " images");
    const float score = scores.row(own)[static_cast<size_t>(caption)];
    int64_t rank = 0;
    for (int64_t image = 0; image < images; ++image)
      rank += before(scores.row(image)[static_cast<size_t>(caption)], image, score, own);
    image_rank.add(rank);
  }
  for (int64_t image = 0; image < images; ++image) {
    const std::span<const float> row = scores.row(image);
    int64_t best = -1;  // the first of its captions
    for (int64_t caption = 0; caption < captions; ++caption) {
      if (image_of[static_cast<size_t>(caption)] != image) continue;
      if (best < 0 || row[static_cast<size_t>(caption)] > row[static_cast<size_t>(best)]) best = caption;
    }
    int64_t rank = captions;
    if (best >= 0) {
      rank = 0;
      for (int64_t caption = 0; caption < captions; ++caption)
        rank += before(row[static_cast<size_t>(caption)], caption, row[static_cast<size_t>(best)], best);
    }
    text_rank.add(rank);
  }
  return {image_rank.recall(), text_rank.recall()};
}

}  // namespace lithe::tasks
