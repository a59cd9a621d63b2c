#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
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

  /// Absent after the last one. Throws the error of a record that cannot be used; the one after it comes next.
  std::optional<HeldOutSample<Sample>> next() {
    begin_some();
    if (coming_.empty()) return std::nullopt;
    Coming coming = std::move(coming_.front());
    coming_.pop_front();
    last_ = coming.place;
    HeldOutSample<Sample> one = coming.sample.get();
    if (maker_.finish) maker_.finish(one.sample);
    return one;
  }
  RecordPlace last() const { return last_; }  ///< Of the record that next() took, also if that threw.

 private:
  struct Coming {
    RecordPlace place;
    std::future<HeldOutSample<Sample>> sample;
  };

  void begin_some() {
    while (set_ < sets_.size() && std::ssize(coming_) < ahead_) {
      const data::DataSet& set = *sets_[set_];
      if (record_ < set.size()) {
        const RecordPlace place{set_, record_++};
        coming_.push_back({place, pool_.begin([this, &set, i = place.record] { return make(set, i); })});
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
  RecordPlace last_;
  std::deque<Coming> coming_;
  WorkerPool pool_{2};  // last: its tasks use what is above
};

/// The held-out records that cannot be used, in order. Reads and prepares every one, and calls `told` with a sentence
/// for each bad one. Throws its error if more than `most` are bad.
template <class Sample>
std::vector<RecordPlace> bad_records(typename HeldOutSamples<Sample>::Sets sets, const SampleMaker<Sample>& maker,
                                     int64_t most, const std::function<void(const std::string&)>& told) {
  constexpr int64_t kAhead = 16;
  HeldOutSamples<Sample> samples(sets, maker, kAhead);
  std::vector<RecordPlace> bad;
  while (true) {
    try {
      if (!samples.next()) return bad;
    } catch (const Error& error) {
      if (std::ssize(bad) >= most) throw;
      bad.push_back(samples.last());
      if (told) told(concat("left out of eval_data: ", error.what()));
    }
  }
}

}  // namespace lithe::tune
