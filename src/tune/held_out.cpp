#include "tune/held_out.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "base/error.h"

namespace lithe::tune {
namespace {

constexpr double kMostShare = 0.2;
constexpr int64_t kBatchesKeptOut = 8;  // of those that draws are compared on, so that they differ

/// Some records of a set.
class PartOfSet : public data::DataSet {
 public:
  PartOfSet(std::shared_ptr<const data::DataSet> whole, std::vector<int64_t> records)
      : whole_(std::move(whole)), records_(std::move(records)) {}

  int64_t size() const override { return static_cast<int64_t>(records_.size()); }
  data::Record read(int64_t i) const override { return whole_->read(records_.at(static_cast<size_t>(i))); }
  std::optional<double> worth(int64_t i, const std::string& answer) const override {
    return whole_->worth(records_.at(static_cast<size_t>(i)), answer);
  }

 private:
  std::shared_ptr<const data::DataSet> whole_;
  std::vector<int64_t> records_;
};

/// As drawn_first(), both parts ascending.
std::vector<int64_t> some_first(int64_t size, int64_t count, std::mt19937_64& random) {
  std::vector<int64_t> records = drawn_first(size, count, random);
  std::sort(records.begin(), records.begin() + count);
  std::sort(records.begin() + count, records.end());
  return records;
}

/// How many records of each set are kept out.
std::vector<int64_t> counts_of(const std::vector<WeightedSet>& sets, int64_t wanted) {
  int64_t all = 0;
  size_t largest = 0;
  for (size_t i = 0; i < sets.size(); ++i) {
    all += sets[i].records->size();
    if (sets[i].records->size() > sets[largest].records->size()) largest = i;
  }
  require(all > 0 && sets[largest].records->size() > 1, Fault::bad_request,
          "data has too few records to keep some out of training, on which draws are compared; name eval_data");
  const double share = std::min(kMostShare, static_cast<double>(wanted) / static_cast<double>(all));
  std::vector<int64_t> counts;
  for (const WeightedSet& set : sets)
    counts.push_back(static_cast<int64_t>(std::floor(share * static_cast<double>(set.records->size()))));
  if (std::accumulate(counts.begin(), counts.end(), int64_t{0}) == 0) counts[largest] = 1;
  return counts;
}

}  // namespace

SplitSets hold_out(std::vector<WeightedSet> sets, int64_t wanted, uint64_t seed) {
  const std::vector<int64_t> counts = counts_of(sets, wanted);
  SplitSets split;
  std::mt19937_64 random(seed);
  for (size_t i = 0; i < sets.size(); ++i) {
    const std::shared_ptr<const data::DataSet> whole = std::move(sets[i].records);
    const std::vector<int64_t> records = some_first(whole->size(), counts[i], random);
    const auto cut = records.begin() + counts[i];
    if (counts[i] > 0)
      split.held_out.push_back({std::make_unique<PartOfSet>(whole, std::vector<int64_t>(records.begin(), cut)), 1});
    split.learnt.push_back(
        {std::make_unique<PartOfSet>(whole, std::vector<int64_t>(cut, records.end())), sets[i].weight});
  }
  return split;
}

std::vector<std::unique_ptr<data::DataSet>> without(std::vector<std::unique_ptr<data::DataSet>> sets,
                                                    const std::vector<RecordPlace>& left_out) {
  for (size_t set = 0; set < sets.size(); ++set) {
    const auto is_left_out = [&](int64_t record) {
      return std::find(left_out.begin(), left_out.end(), RecordPlace{set, record}) != left_out.end();
    };
    std::vector<int64_t> records(static_cast<size_t>(sets[set]->size()));
    std::iota(records.begin(), records.end(), int64_t{0});
    if (std::erase_if(records, is_left_out) > 0)
      sets[set] = std::make_unique<PartOfSet>(std::move(sets[set]), std::move(records));
  }
  return sets;
}

std::vector<WeightedSet> compared_sets(const Recipe& recipe, std::vector<WeightedSet>& data,
                                       std::vector<WeightedSet> eval_data) {
  const EasSearchRecipe& search = recipe.eas->search;
  if (search.evaluate_on == EasSearchRecipe::EvaluateOn::training_batch) return {};
  if (!eval_data.empty()) return eval_data;
  SplitSets split = hold_out(std::move(data), kBatchesKeptOut * search.held_out, static_cast<uint64_t>(recipe.seed));
  data = std::move(split.learnt);
  return std::move(split.held_out);
}

}  // namespace lithe::tune
