#include "tune/record_order.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <optional>
#include <random>
#include <unordered_map>
#include <utility>

#include "base/error.h"

namespace lithe::tune {
namespace {

/// The same order on every machine: std::shuffle leaves to the library how it draws.
template <class T>
void shuffle(std::vector<T>& items, std::mt19937_64& random) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random() % i]);
}

/// How many records of a set an epoch takes. A set that has records gives at least one.
int64_t count_in_epoch(int64_t size, double weight) {
  const auto count = static_cast<int64_t>(std::llround(weight * static_cast<double>(size)));
  return size == 0 ? 0 : std::max<int64_t>(count, 1);
}

/// One set's part of an epoch. A share of it moves on from epoch to epoch, so that all of it is seen in the end.
/// `seed`: of the order in which that goes; absent: as the records lie.
std::vector<int64_t> part_of_epoch(int64_t size, double weight, std::optional<uint64_t> seed, int64_t epoch) {
  const int64_t count = count_in_epoch(size, weight);
  std::vector<int64_t> part, round(static_cast<size_t>(size));
  int64_t held = -1;  // the number of the round that is in `round`
  for (int64_t at = epoch * count; at < (epoch + 1) * count; ++at) {
    if (at / size != held) {
      held = at / size;
      std::iota(round.begin(), round.end(), 0);
      std::mt19937_64 random(seed.value_or(0) + 0x9e3779b97f4a7c15ULL * static_cast<uint64_t>(held + 1));
      if (seed && count % size != 0) shuffle(round, random);
    }
    part.push_back(round[static_cast<size_t>(at % size)]);
  }
  return part;
}

/// What the pictures of a record are called; a record without any is alone.
std::string pictures_of(const data::Record& record) {
  std::string names = record.images.empty() ? record.name : "";
  for (const image::Source& picture : record.images) names += picture.name() + '\n';
  return names;
}

/// A number of each record of each set.  -> [set][record]; -1 of one that can't be read, which shows when its turn
/// comes
std::vector<std::vector<int64_t>> number(const std::vector<WeightedSet>& sets,
                                         const std::function<int64_t(const data::Record&)>& number_of) {
  std::vector<std::vector<int64_t>> numbers(sets.size());
  for (size_t set = 0; set < sets.size(); ++set) {
    for (int64_t record = 0; record < sets[set].records->size(); ++record) {
      try {
        numbers[set].push_back(number_of(sets[set].records->read(record)));
      } catch (const Error&) {
        numbers[set].push_back(-1);
      }
    }
  }
  return numbers;
}

/// The same number for records with the same pictures.
std::vector<std::vector<int64_t>> number_pictures(const std::vector<WeightedSet>& sets) {
  std::unordered_map<std::string, int64_t> known;
  return number(sets, [&](const data::Record& record) {
    return known.emplace(pictures_of(record), static_cast<int64_t>(known.size())).first->second;
  });
}

/// About how many rows a record takes. Only the order of two records matters.
int64_t length_of(const data::Record& record) {
  constexpr int64_t kBytesPerToken = 4, kRowsPerPicture = 576;
  int64_t bytes = 0;
  for (const data::Turn& turn : record.turns) bytes += static_cast<int64_t>(turn.text.size());
  return bytes / kBytesPerToken + kRowsPerPicture * static_cast<int64_t>(record.images.size());
}

}  // namespace

std::vector<int64_t> drawn_first(int64_t size, int64_t count, std::mt19937_64& random) {
  std::vector<int64_t> numbers(static_cast<size_t>(size));
  std::iota(numbers.begin(), numbers.end(), 0);
  for (size_t i = 0; i < static_cast<size_t>(count); ++i)
    std::swap(numbers[i], numbers[i + random() % (numbers.size() - i)]);
  return numbers;
}

std::vector<int64_t> drawn_records(int64_t size, int64_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int64_t> numbers = drawn_first(size, count, random);
  numbers.resize(static_cast<size_t>(count));
  return numbers;
}

std::vector<RecordPlace> order_of_epoch(const std::vector<WeightedSet>& sets, bool shuffled, uint64_t seed,
                                        int64_t epoch) {
  std::vector<RecordPlace> order;
  for (size_t set = 0; set < sets.size(); ++set) {
    std::optional<uint64_t> own_seed;
    if (shuffled) own_seed = seed + set;
    for (const int64_t record : part_of_epoch(sets[set].records->size(), sets[set].weight, own_seed, epoch))
      order.push_back({set, record});
  }
  std::mt19937_64 random(seed + static_cast<uint64_t>(epoch));
  if (shuffled) shuffle(order, random);
  return order;
}

int64_t records_per_epoch(const std::vector<WeightedSet>& sets) {
  int64_t records = 0;
  for (const WeightedSet& set : sets) records += count_in_epoch(set.records->size(), set.weight);
  return records;
}

RecordOrder::RecordOrder(const std::vector<WeightedSet>& sets, const OrderOptions& options, int64_t first)
    : sets_(sets), options_(options), first_(first) {
  if (options_.share_images) pictures_ = number_pictures(sets_);
  if (options_.length_group > 0) lengths_ = number(sets_, length_of);
  order_ = order_of(0);
  require(!order_.empty(), Fault::bad_file, "the data sets hold no record");
}

RecordPlace RecordOrder::at(int64_t number) {
  if (const int64_t epoch = number / per_epoch(); epoch != epoch_) {
    order_ = order_of(epoch);
    epoch_ = epoch;
  }
  return order_[static_cast<size_t>(number % per_epoch())];
}

std::vector<RecordPlace> RecordOrder::order_of(int64_t epoch) const {
  std::vector<RecordPlace> order = order_of_epoch(sets_, options_.shuffle, options_.seed, epoch);
  if (options_.length_group > 0) group_by_length(order);
  return options_.share_images ? by_pictures(order) : order;
}

/// As transformers groups by length: within each stretch of the shuffled order.
void RecordOrder::group_by_length(std::vector<RecordPlace>& order) const {
  const auto length = [this](const RecordPlace& place) {
    return lengths_[place.set][static_cast<size_t>(place.record)];
  };
  for (size_t first = 0; first < order.size();) {
    const size_t end = std::min(order.size(), first + static_cast<size_t>(options_.length_group));
    std::stable_sort(order.begin() + static_cast<std::ptrdiff_t>(first),
                     order.begin() + static_cast<std::ptrdiff_t>(end),
                     [&](const RecordPlace& a, const RecordPlace& b) { return length(a) > length(b); });
    first = end;
  }
}

/// Records that share pictures come together where the first of them is.
std::vector<RecordPlace> RecordOrder::by_pictures(const std::vector<RecordPlace>& order) const {
  std::unordered_map<int64_t, size_t> group_of;
  std::vector<std::vector<RecordPlace>> groups;
  for (const RecordPlace& place : order) {
    const int64_t pictures = pictures_[place.set][static_cast<size_t>(place.record)];
    const auto [group, is_new] = group_of.emplace(pictures, groups.size());
    if (is_new) groups.emplace_back();
    groups[group->second].push_back(place);
  }
  std::vector<RecordPlace> together;
  for (const std::vector<RecordPlace>& group : groups) together.insert(together.end(), group.begin(), group.end());
  return together;
}

int64_t RecordOrder::next_own(int64_t at) const {
  const auto& [rank, ranks, batch] = options_.share;
  const int64_t turn = (at - first_) / batch, wait = (rank - turn % ranks + ranks) % ranks;
  return wait == 0 ? at : first_ + (turn + wait) * batch;
}

}  // namespace lithe::tune
