#include "tune/step_samples.h"

#include "base/error.h"

namespace lithe::tune {

StepSamples::StepSamples(const Recipe& recipe, SampleStream& stream, Ranks ranks, int64_t skipped)
    : recipe_(recipe), stream_(stream), ranks_(std::move(ranks)), skipped_(skipped), skipped_here_(stream.skipped()) {}

const std::vector<std::vector<Sample>>& StepSamples::next() {
  batches_.assign(static_cast<size_t>(recipe_.gradient_accumulation_steps), {});
  for (std::vector<Sample>& batch : batches_)
    for (int64_t i = 0; i < recipe_.per_device_train_batch_size; ++i)
      if (std::optional<Sample> sample = stream_.take()) batch.push_back(std::move(*sample));
  count_skipped();
  return batches_;
}

void StepSamples::count_skipped() {
  auto skipped = static_cast<double>(stream_.skipped() - skipped_here_);
  skipped_here_ = stream_.skipped();
  ranks_.sum({&skipped, 1});
  skipped_ += static_cast<int64_t>(skipped);
  require(skipped_ <= recipe_.skip_bad_samples, Fault::bad_file, "the ranks left out ", skipped_,
          " samples, and skip_bad_samples is ", recipe_.skip_bad_samples);
}

}  // namespace lithe::tune
