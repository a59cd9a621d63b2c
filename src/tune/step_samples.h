#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tune/ranks.h"
#include "tune/recipe.h"
#include "tune/record_stream.h"

namespace lithe::tune {

/// The samples of one optimiser step after another, as this rank takes them. A record that is left out leaves its place
/// empty, so that the others stay where they are on all ranks.
template <class Sample>
class StepSamples {
 public:
  /// `skipped`: records that all ranks left out before. Recipe and stream must outlive this.
  StepSamples(const Recipe& recipe, RecordStream<Sample>& stream, Ranks ranks, int64_t skipped)
      : recipe_(recipe),
        stream_(stream),
        ranks_(std::move(ranks)),
        skipped_(skipped),
        skipped_here_(stream.skipped()) {}

  /// Those of the next step, by micro-batch. Throws Error{bad_file} if the ranks left out too many records.
  const std::vector<std::vector<Sample>>& next() {
    batches_.assign(static_cast<size_t>(recipe_.gradient_accumulation_steps), {});
    for (std::vector<Sample>& batch : batches_)
      for (int64_t i = 0; i < recipe_.per_device_train_batch_size; ++i)
        if (std::optional<Sample> sample = stream_.take()) batch.push_back(std::move(*sample));
    count_skipped();
    return batches_;
  }
  const std::vector<std::vector<Sample>>& held() const { return batches_; }  ///< Those of the last one.
  std::vector<std::span<const Sample>> batches() const { return {batches_.begin(), batches_.end()}; }
  int64_t skipped() const { return skipped_; }  ///< By all ranks.

 private:
  void count_skipped() {
    auto skipped = static_cast<double>(stream_.skipped() - skipped_here_);
    skipped_here_ = stream_.skipped();
    ranks_.sum({&skipped, 1});
    skipped_ += static_cast<int64_t>(skipped);
    require(skipped_ <= recipe_.skip_bad_samples, Fault::bad_file, "the ranks left out ", skipped_,
            " samples, and skip_bad_samples is ", recipe_.skip_bad_samples);
  }

  const Recipe& recipe_;
  RecordStream<Sample>& stream_;
  const Ranks ranks_;
  int64_t skipped_, skipped_here_;
  std::vector<std::vector<Sample>> batches_;
};

}  // namespace lithe::tune
