#pragma once

#include <cstdint>
#include <vector>

#include "tune/meter_sample.h"
#include "tune/stream.h"

namespace lithe::tune {

/// Samples of METER one after another, epoch after epoch, in the order of order_of_epoch.
class MeterStream {
 public:
  /// `taken`: how many records were taken before. The meter must outlive the stream. Throws Error{bad_file} if there is
  /// no record.
  MeterStream(const models::Meter& meter, models::MeterTask task, const AnswerClasses& classes,
              std::vector<WeightedSet> sets, bool shuffle, uint64_t seed, int64_t taken = 0);

  int64_t per_epoch() const { return per_epoch_; }
  int64_t taken() const { return taken_; }
  std::vector<MeterSample> next(int64_t count);
  /// The records from `begin` to before `end`, counted as they lie in the sets.
  std::vector<MeterSample> between(int64_t begin, int64_t end) const;

 private:
  MeterSample read(const RecordPlace& place) const;

  const models::Meter& meter_;
  const models::MeterTask task_;
  const AnswerClasses& classes_;
  const std::vector<WeightedSet> sets_;
  const bool shuffle_;
  const uint64_t seed_;
  int64_t per_epoch_ = 0, taken_ = 0, epoch_ = -1;
  std::vector<RecordPlace> order_;  // of epoch_
};

}  // namespace lithe::tune
