#include "tune/compared_samples.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "tune/held_out.h"

namespace lithe::tune {
namespace {

using EvaluateOn = EasSearchRecipe::EvaluateOn;

}  // namespace

ComparedSamples::ComparedSamples(const Recipe& recipe, Ranks ranks, std::vector<WeightedSet>& data,
                                 std::vector<WeightedSet> eval_data)
    : recipe_(recipe), settings_(recipe.eas->search), ranks_(std::move(ranks)) {
  if (settings_.evaluate_on == EvaluateOn::training_batch) return;
  kept_out_ = eval_data.empty();
  sets_ = compared_sets(recipe, data, std::move(eval_data));
  for (WeightedSet& set : sets_) {
    set.weight = 1;
    records_ += set.records->size();
  }
  count_ = std::min(settings_.held_out, records_);
  require(count_ > 0, Fault::bad_file, "eval_data holds no record, so draws can't be compared");
}

bool ComparedSamples::always_first() const {
  return settings_.evaluate_on == EvaluateOn::first_batch;
}

void ComparedSamples::open(const models::Model& model, StreamOptions options, int64_t taken, int64_t skipped,
                           std::function<void(const std::string&)> told) {
  if (sets_.empty()) return;
  options.shuffle = true;
  options.length_group = 0;
  options.seed ^= kHeldOutSeed;
  options.ahead = count_ / ranks_.size() + 1;
  options.share.batch = 1;
  begun_at_ = taken;
  stream_.emplace(model, std::move(sets_), options, taken, skipped);
  stream_->on_skipped(std::move(told));
}

void ComparedSamples::next(const std::vector<std::vector<Sample>>& step) {
  if (!stream_) {
    held_.clear();
    for (const std::vector<Sample>& batch : step) held_.insert(held_.end(), batch.begin(), batch.end());
    return;
  }
  if (always_first() && seen_ > 0) return;
  held_.clear();
  for (const int64_t end = seen_ + count_; seen_ < end; ++seen_) {
    if (seen_ % ranks_.size() != ranks_.rank()) continue;
    if (std::optional<Sample> sample = stream_->take()) held_.push_back(std::move(*sample));
  }
}

/// A few at a time.
double ComparedSamples::loss(const Trainer& trainer) const {
  const MicroBatch all(held_);
  std::array<double, 2> sums{};  // of losses, and of labels
  const auto batch = static_cast<size_t>(recipe_.per_device_train_batch_size);
  for (size_t first = 0; first < all.size(); first += batch) {
    const MicroBatch some = all.subspan(first, std::min(batch, all.size() - first));
    double labels = 0;
    for (const Sample& sample : some) labels += static_cast<double>(sample.learnt());
    sums[0] += trainer.loss(some, settings_.evaluate_with_dropout) * labels;
    sums[1] += labels;
  }
  ranks_.sum(sums);
  return sums[0] / std::max(sums[1], 1.0);
}

}  // namespace lithe::tune
