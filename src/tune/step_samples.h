#pragma once

#include <cstdint>
#include <vector>

#include "tune/ranks.h"
#include "tune/recipe.h"
#include "tune/stream.h"
#include "tune/trainer.h"

namespace lithe::tune {

/// The samples of one optimiser step after another, as this rank takes them. A record that is left out leaves its place
/// empty, so that the others stay where they are on all ranks.
class StepSamples {
 public:
  /// `skipped`: records that all ranks left out before. Recipe and stream must outlive this.
  StepSamples(const Recipe& recipe, SampleStream& stream, Ranks ranks, int64_t skipped);

  /// Those of the next step, by micro-batch. Throws Error{bad_file} if the ranks left out too many records.
  const std::vector<std::vector<Sample>>& next();
  const std::vector<std::vector<Sample>>& held() const { return batches_; }  ///< Those of the last one.
  std::vector<MicroBatch> batches() const { return {batches_.begin(), batches_.end()}; }
  int64_t skipped() const { return skipped_; }  ///< By all ranks.

 private:
  void count_skipped();

  const Recipe& recipe_;
  SampleStream& stream_;
  const Ranks ranks_;
  int64_t skipped_, skipped_here_;
  std::vector<std::vector<Sample>> batches_;
};

}  // namespace lithe::tune
