#pragma once

#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/worker_pool.h"
#include "data/data_set.h"
#include "tune/record_stream.h"

namespace lithe::tune {

/// A held-out record and what is made of it.
template <class Sample>
struct HeldOutSample {
  const data::DataSet* set;
  int64_t record;  ///< Of the set.
  data::Record as_read;
  Sample sample;
};

/// The samples of held-out records, one after another. Threads make some of them ahead.
template <class Sample>
class HeldOutSamples {
 public:
  using Sets = std::span<const std::unique_ptr<data::DataSet>>;

  /// `ahead`: how many samples are made before they are asked for. The sets must outlive this.
  HeldOutSamples(Sets sets, SampleMaker<Sample> maker, int64_t ahead)
      : sets_(sets), maker_(std::move(maker)), ahead_(ahead) {}

  /// Absent after the last one. Throws the error of a record that cannot be used.
  std::optional<HeldOutSample<Sample>> next() {
    begin_some();
    if (coming_.empty()) return std::nullopt;
    HeldOutSample<Sample> one = coming_.front().get();
    coming_.pop_front();
    if (maker_.finish) maker_.finish(one.sample);
    return one;
  }

 private:
  void begin_some() {
    while (set_ < sets_.size() && std::ssize(coming_) < ahead_) {
      const data::DataSet& set = *sets_[set_];
      if (record_ < set.size()) {
        coming_.push_back(pool_.begin([this, &set, i = record_++] { return make(set, i); }));
      } else {
        ++set_;
        record_ = 0;
      }
    }
  }

  HeldOutSample<Sample> make(const data::DataSet& set, int64_t i) const {
    data::Record record = set.read(i);
    Sample sample = maker_.make(record);
    return {&set, i, std::move(record), std::move(sample)};
  }

  const Sets sets_;
  const SampleMaker<Sample> maker_;
  const int64_t ahead_;
  size_t set_ = 0;
  int64_t record_ = 0;
  std::deque<std::future<HeldOutSample<Sample>>> coming_;
  WorkerPool pool_{2};  // last: its tasks use what is above
};

}  // namespace lithe::tune
