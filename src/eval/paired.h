#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace lithe::eval {

/// What two runs got for one question.
struct ScorePair {
  double first = 0, second = 0;
  double weight = 1;  ///< Of the question in the means.
};

/// What the numbers of the pairs are.
struct PairedUnit {
  double scale = 100;  ///< Of the results: scores from 0 to 1 become percent.
  bool fewer_is_better = false;
};

/// How two runs differ over the same questions, in the unit's scale.
struct Paired {
  int64_t questions = 0;
  double first = 0, second = 0;  ///< Means.
  double difference = 0;         ///< second - first
  double low = 0, high = 0;      ///< Of 95 % of the differences of questions that are drawn anew (bootstrap).
  int64_t only_first = 0, only_second = 0;  ///< Questions for which one run is better.
  /// How likely so uneven a split of these questions is if both runs are equally good (McNemar's exact test).
  double p = 1;
};

/// There is at least one pair. The same seed draws the same questions.
Paired paired(std::span<const ScorePair> pairs, uint64_t seed, const PairedUnit& unit = {});

}  // namespace lithe::eval
