#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tune/recipe.h"
#include "tune/stream.h"
#include "tune/trainer.h"

namespace lithe::tune {

/// The samples on which a search compares draws. Each rank takes its share of them.
class ComparedSamples {
 public:
  /// From `eval_data`, or if there is none, records that are kept out of `data`. Throws Error. The recipe must outlive
  /// this.
  ComparedSamples(const Recipe& recipe, Ranks ranks, std::vector<WeightedSet>& data,
                  std::vector<WeightedSet> eval_data);

  int64_t count() const { return count_; }      ///< Of a comparison, over all ranks; 0: the step's own samples.
  int64_t records() const { return records_; }  ///< That they are taken from.
  bool kept_out() const { return kept_out_; }   ///< Of `data`.

  /// `options`: of the samples that are learnt. `taken`, `skipped`: as they were when the search stopped.
  void open(const models::Model& model, StreamOptions options, int64_t taken, int64_t skipped,
            std::function<void(const std::string&)> told);
  int64_t taken() const { return always_first() ? 0 : begun_at_ + seen_; }
  int64_t skipped() const { return stream_ && !always_first() ? stream_->skipped() : 0; }

  /// Takes those of the next comparison. `step`: the samples of the step at hand, by micro-batch.
  void next(const std::vector<std::vector<Sample>>& step);
  /// The mean over their labels, of all ranks, under the trainer's plan.
  double loss(const Trainer& trainer) const;

 private:
  bool always_first() const;

  const Recipe& recipe_;
  const EasSearchRecipe& settings_;
  const Ranks ranks_;
  std::vector<WeightedSet> sets_;
  int64_t count_ = 0, records_ = 0;
  int64_t begun_at_ = 0, seen_ = 0;  // places in the order that all ranks share
  bool kept_out_ = false;
  std::optional<SampleStream> stream_;
  std::vector<Sample> held_;
};

}  // namespace lithe::tune
