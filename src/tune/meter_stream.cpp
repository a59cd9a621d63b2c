#include "tune/meter_stream.h"

#include <algorithm>

#include "base/error.h"

namespace lithe::tune {

MeterStream::MeterStream(const models::Meter& meter, models::MeterTask task, const AnswerClasses& classes,
                         std::vector<WeightedSet> sets, bool shuffle, uint64_t seed, int64_t taken)
    : meter_(meter),
      task_(task),
      classes_(classes),
      sets_(std::move(sets)),
      shuffle_(shuffle),
      seed_(seed),
      per_epoch_(static_cast<int64_t>(order_of_epoch(sets_, false, 0, 0).size())),
      taken_(taken) {
  require(per_epoch_ > 0, Fault::bad_file, "the data hold no record");
}

MeterSample MeterStream::read(const RecordPlace& place) const {
  return make_meter_sample(meter_, sets_[place.set].records->read(place.record), task_, classes_);
}

std::vector<MeterSample> MeterStream::next(int64_t count) {
  std::vector<MeterSample> samples;
  for (int64_t i = 0; i < count; ++i, ++taken_) {
    if (const int64_t epoch = taken_ / per_epoch_; epoch != epoch_) {
      order_ = order_of_epoch(sets_, shuffle_, seed_, epoch);
      epoch_ = epoch;
    }
    samples.push_back(read(order_[static_cast<size_t>(taken_ % per_epoch_)]));
  }
  return samples;
}

std::vector<MeterSample> MeterStream::between(int64_t begin, int64_t end) const {
  std::vector<MeterSample> samples;
  int64_t before = 0;  // records of the sets before
  for (size_t set = 0; set < sets_.size(); ++set) {
    const int64_t size = sets_[set].records->size();
    for (int64_t i = std::max(begin, before); i < std::min(end, before + size); ++i)
      samples.push_back(read({set, i - before}));
    before += size;
  }
  return samples;
}

}  // namespace lithe::tune
