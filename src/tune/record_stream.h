#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mixed.h"
#include "base/worker_pool.h"
#include "tune/record_order.h"

namespace lithe::tune {

/// How a record becomes a sample.
template <class Sample>
struct SampleMaker {
  std::function<Sample(const data::Record&)> make;  ///< Any thread may run it. It touches no tensor.
  std::function<void(Sample&)> finish;              ///< For the thread that takes the sample; may be empty.

  Sample operator()(const data::Record& record) const {
    Sample sample = make(record);
    if (finish) finish(sample);
    return sample;
  }
};

struct RecordStreamOptions {
  OrderOptions order;
  int64_t ahead = 16;            ///< Samples that are being made before they are asked for.
  int64_t threads = 2;           ///< That make them.
  int64_t skip_bad_samples = 0;  ///< How many records may be left out because nothing can be made of them.
};

/// Samples of records one after another, epoch after epoch, without end. Threads make them ahead, and touch no tensor.
/// A Sample has a number `draw`, which is another one each time that a record is taken.
template <class Sample>
class RecordStream {
 public:
  /// `first`: how many records were taken before, as `taken()` said; `skipped`: how many of those were left out. Throws
  /// Error{bad_file} if the sets hold no record.
  RecordStream(std::vector<WeightedSet> sets, const RecordStreamOptions& options, SampleMaker<Sample> maker,
               int64_t first = 0, int64_t skipped = 0)
      : sets_(std::move(sets)),
        options_(options),
        maker_(std::move(maker)),
        order_(sets_, options.order, first),
        begun_(first),
        taken_(first),
        skipped_(skipped),
        pool_(options.threads) {}

  int64_t per_epoch() const { return order_.per_epoch(); }

  /// The sample of the next record; waits for it. Absent if it is left out. Throws its error if it may not be, and if
  /// as many records in a row as an epoch has are bad, since no good one is to come.
  std::optional<Sample> take() {
    while (static_cast<int64_t>(coming_.size()) < std::max<int64_t>(options_.ahead, 1)) begin_one();
    std::future<Sample> coming = std::move(coming_.front());
    coming_.pop_front();
    taken_ = order_.next_own(taken_) + 1;
    try {
      Sample sample = coming.get();
      sample.draw = mixed(options_.order.seed, static_cast<uint64_t>(taken_));
      if (maker_.finish) maker_.finish(sample);
      bad_in_a_row_ = 0;
      return sample;
    } catch (const Error& error) {
      const bool none_is_good = ++bad_in_a_row_ >= per_epoch() * options_.order.share.ranks;
      if (skipped_ >= options_.skip_bad_samples || none_is_good) throw;
      ++skipped_;
      if (told_) told_(concat("left out: ", error.what()));
      return std::nullopt;
    }
  }

  /// The next sample that is not left out.
  Sample next() {
    while (true) {
      if (std::optional<Sample> sample = take()) return std::move(*sample);
    }
  }

  int64_t taken() const { return taken_; }  ///< Records up to the last one taken, with those left out.
  int64_t skipped() const { return skipped_; }
  /// Called with a sentence for each record that is left out.
  void on_skipped(std::function<void(const std::string&)> told) { told_ = std::move(told); }

 private:
  void begin_one() {
    begun_ = order_.next_own(begun_);
    const RecordPlace place = order_.at(begun_++);
    coming_.push_back(pool_.begin([this, place] { return maker_.make(sets_[place.set].records->read(place.record)); }));
  }

  const std::vector<WeightedSet> sets_;
  const RecordStreamOptions options_;
  const SampleMaker<Sample> maker_;
  RecordOrder order_;
  int64_t begun_, taken_, skipped_;
  int64_t bad_in_a_row_ = 0;
  std::function<void(const std::string&)> told_;
  std::deque<std::future<Sample>> coming_;
  WorkerPool pool_;  // last: its tasks use what is above
};

}  // namespace lithe::tune
