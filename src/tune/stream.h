#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/worker_pool.h"
#include "data/data_set.h"
#include "models/model.h"
#include "tune/sample.h"

namespace lithe::tune {

/// A data set and how many times an epoch goes through it: 0.25 takes another quarter of it in each epoch, but at least
/// one record.
struct WeightedSet {
  std::unique_ptr<data::DataSet> records;
  double weight = 1;
};

/// A record of one of several sets.
struct RecordPlace {
  size_t set = 0;
  int64_t record = 0;
  bool operator==(const RecordPlace&) const = default;
};

/// The records of one epoch in their order, which depends on the seed and the epoch alone.
std::vector<RecordPlace> order_of_epoch(const std::vector<WeightedSet>& sets, bool shuffle, uint64_t seed,
                                        int64_t epoch);

/// Which records of the common order a rank takes: `batch` of them, then as many for each of the other ranks.
struct RankShare {
  int64_t rank = 0, ranks = 1;
  int64_t batch = 1;
};

struct StreamOptions {
  SampleOptions sample;
  bool shuffle = true;
  bool share_images = false;  ///< Records with the same pictures follow each other, so that they can share their rows.
  int64_t length_group = 0;   ///< Of so many records at a time, the longest come first; 0: in any order.
  uint64_t seed = 42;
  int64_t ahead = 16;   ///< Samples that are being made before they are asked for.
  int64_t threads = 2;  ///< That make them.
  RankShare share;
  int64_t skip_bad_samples = 0;  ///< How many records may be left out because nothing can be made of them.
};

/// Samples one after another, epoch after epoch, without end. Threads read, tokenise, decode and resize them ahead, and
/// touch no tensor.
class SampleStream {
 public:
  /// `first`: how many records were taken before, as `taken()` said; `skipped`: how many of those were left out.
  /// The model must outlive the stream.
  SampleStream(const models::Model& model, std::vector<WeightedSet> sets, const StreamOptions& options,
               int64_t first = 0, int64_t skipped = 0);

  int64_t per_epoch() const { return static_cast<int64_t>(order_.size()); }
  /// The sample of the next record; waits for it. Absent if it is left out. Throws its error if it may not be, and if
  /// as many records in a row as an epoch has are bad, since no good one is to come.
  std::optional<Sample> take();
  /// The next sample that is not left out.
  Sample next();

  int64_t taken() const { return taken_; }  ///< Records up to the last one taken, with those left out.
  int64_t skipped() const { return skipped_; }
  /// Called with a sentence for each record that is left out.
  void on_skipped(std::function<void(const std::string&)> told) { told_ = std::move(told); }

 private:
  std::vector<RecordPlace> order_of(int64_t epoch) const;
  void group_by_length(std::vector<RecordPlace>& order) const;
  std::vector<RecordPlace> by_pictures(const std::vector<RecordPlace>& order) const;
  void begin_one();
  int64_t next_own(int64_t at) const;

  const models::Model& model_;
  const std::vector<WeightedSet> sets_;
  const StreamOptions options_;
  std::vector<std::vector<int64_t>> pictures_;  // [set][record] a number for each list of pictures, if they are shared
  std::vector<std::vector<int64_t>> lengths_;   // [set][record] about how long it is, if records go by length
  std::vector<RecordPlace> order_;              // of epoch_
  int64_t epoch_ = 0;
  const int64_t first_;
  int64_t begun_, taken_, skipped_;
  int64_t bad_in_a_row_ = 0;
  std::function<void(const std::string&)> told_;
  std::deque<std::future<Sample>> coming_;
  WorkerPool pool_;  // last: its tasks use what is above
};

}  // namespace lithe::tune
