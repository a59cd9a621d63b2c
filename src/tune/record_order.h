#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "data/data_set.h"

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

/// The numbers below `size`, of which the first `count` are drawn at random. The same on every machine.
std::vector<int64_t> drawn_first(int64_t size, int64_t count, std::mt19937_64& random);
/// Those `count`, drawn by a seed.
std::vector<int64_t> drawn_records(int64_t size, int64_t count, uint64_t seed);

/// The records of one epoch in their order, which depends on the seed and the epoch alone.
std::vector<RecordPlace> order_of_epoch(const std::vector<WeightedSet>& sets, bool shuffle, uint64_t seed,
                                        int64_t epoch);

/// How many records an epoch takes.
int64_t records_per_epoch(const std::vector<WeightedSet>& sets);

/// Which records of the common order a rank takes: `batch` of them, then as many for each of the other ranks.
struct RankShare {
  int64_t rank = 0, ranks = 1;
  int64_t batch = 1;
};

struct OrderOptions {
  bool shuffle = true;
  bool share_images = false;  ///< Records with the same pictures follow each other, so that they can share their rows.
  int64_t length_group = 0;   ///< Of so many records at a time, the longest come first; 0: in any order.
  uint64_t seed = 42;
  RankShare share;
};

/// The order in which training takes records, epoch after epoch, without end. Records have numbers in it, from 0.
class RecordOrder {
 public:
  /// `first`: the number of the first record that is taken. The sets must outlive the order. Throws Error{bad_file} if
  /// they hold no record.
  RecordOrder(const std::vector<WeightedSet>& sets, const OrderOptions& options, int64_t first);

  int64_t per_epoch() const { return static_cast<int64_t>(order_.size()); }
  /// The number of the first record from `at` on that this rank takes.
  int64_t next_own(int64_t at) const;
  RecordPlace at(int64_t number);

 private:
  std::vector<RecordPlace> order_of(int64_t epoch) const;
  void group_by_length(std::vector<RecordPlace>& order) const;
  std::vector<RecordPlace> by_pictures(const std::vector<RecordPlace>& order) const;

  const std::vector<WeightedSet>& sets_;
  const OrderOptions options_;
  const int64_t first_;
  std::vector<std::vector<int64_t>> pictures_;  // [set][record] a number for each list of pictures, if they are shared
  std::vector<std::vector<int64_t>> lengths_;   // [set][record] about how long it is, if records go by length
  std::vector<RecordPlace> order_;              // of epoch_
  int64_t epoch_ = 0;
};

}  // namespace lithe::tune
