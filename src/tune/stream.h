#pragma once

#include <cstdint>
#include <vector>

#include "models/model.h"
#include "tune/record_stream.h"
#include "tune/sample.h"

namespace lithe::tune {

/// make_sample, then count_rows. The model must outlive the maker.
SampleMaker<Sample> sample_maker(const models::Model& model, const SampleOptions& options);

struct StreamOptions {
  SampleOptions sample;
  RecordStreamOptions records;
};

/// Samples one after another, as a RecordStream. Threads read, tokenise, decode and resize them ahead.
class SampleStream : public RecordStream<Sample> {
 public:
  /// The model must outlive the stream. Throws Error{bad_file} if the sets hold no record.
  SampleStream(const models::Model& model, std::vector<WeightedSet> sets, const StreamOptions& options,
               int64_t first = 0, int64_t skipped = 0)
      : RecordStream(std::move(sets), options.records, sample_maker(model, options.sample), first, skipped) {}
};

}  // namespace lithe::tune
