#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tune/held_out.h"
#include "tune/ranks.h"
#include "tune/recipe.h"
#include "tune/record_stream.h"
#include "tune/training_step.h"

namespace lithe::tune {

/// The samples on which a search compares draws. Each rank takes its share of them.
template <class Sample>
class ComparedSamples {
 public:
  /// From `eval_data`, or if there is none, records that are kept out of `data`. Throws Error. The recipe must outlive
  /// this.
  ComparedSamples(const Recipe& recipe, Ranks ranks, std::vector<WeightedSet>& data, std::vector<WeightedSet> eval_data)
      : recipe_(recipe), settings_(recipe.eas->search), ranks_(std::move(ranks)) {
    if (settings_.evaluate_on == EasSearchRecipe::EvaluateOn::training_batch) return;
    kept_out_ = eval_data.empty();
    sets_ = compared_sets(recipe, data, std::move(eval_data));
    for (WeightedSet& set : sets_) {
      set.weight = 1;
      records_ += set.records->size();
    }
    count_ = std::min(settings_.held_out, records_);
    require(count_ > 0, Fault::bad_file, "eval_data holds no record, so draws can't be compared");
  }

  int64_t count() const { return count_; }      ///< Of a comparison, over all ranks; 0: the step's own samples.
  int64_t records() const { return records_; }  ///< That they are taken from.
  bool kept_out() const { return kept_out_; }   ///< Of `data`.

  /// `options`: of the samples that are learnt. `taken`, `skipped`: as they were when the search stopped.
  void open(const SampleMaker<Sample>& maker, RecordStreamOptions options, int64_t taken, int64_t skipped,
            std::function<void(const std::string&)> told) {
    if (sets_.empty()) return;
    options.order.shuffle = true;
    options.order.length_group = 0;
    options.order.seed ^= kHeldOutSeed;
    options.order.share.batch = 1;
    options.ahead = count_ / ranks_.size() + 1;
    begun_at_ = taken;
    stream_.emplace(std::move(sets_), options, maker, taken, skipped);
    stream_->on_skipped(std::move(told));
  }
  int64_t taken() const { return always_first() ? 0 : begun_at_ + seen_; }
  int64_t skipped() const { return stream_ && !always_first() ? stream_->skipped() : 0; }

  /// Takes those of the next comparison. `step`: the samples of the step at hand, by micro-batch.
  void next(const std::vector<std::vector<Sample>>& step) {
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

  /// The mean over their labels, of all ranks, under the trainer's plan. A few samples run at a time.
  template <class Trainer>
  double loss(const Trainer& trainer) const {
    const std::span<const Sample> all(held_);
    std::array<double, 2> sums{};  // of losses, and of labels
    const auto batch = static_cast<size_t>(recipe_.per_device_train_batch_size);
    for (size_t first = 0; first < all.size(); first += batch) {
      const std::span<const Sample> some = all.subspan(first, std::min(batch, all.size() - first));
      const auto labels = static_cast<double>(labels_in(some));
      sums[0] += trainer.loss(some, settings_.evaluate_with_dropout) * labels;
      sums[1] += labels;
    }
    ranks_.sum(sums);
    return sums[0] / std::max(sums[1], 1.0);
  }

 private:
  bool always_first() const { return settings_.evaluate_on == EasSearchRecipe::EvaluateOn::first_batch; }

  const Recipe& recipe_;
  const EasSearchRecipe& settings_;
  const Ranks ranks_;
  std::vector<WeightedSet> sets_;
  int64_t count_ = 0, records_ = 0;
  int64_t begun_at_ = 0, seen_ = 0;  // places in the order that all ranks share
  bool kept_out_ = false;
  std::optional<RecordStream<Sample>> stream_;
  std::vector<Sample> held_;
};

}  // namespace lithe::tune
