#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tune/recipe.h"
#include "tune/record_order.h"

namespace lithe::tune {

/// Data sets in two parts that share no record.
struct SplitSets {
  std::vector<WeightedSet> learnt, held_out;
};

/// Keeps about `wanted` records out of the sets, at random and from each set in proportion to its size: at most a fifth
/// of them, at least one. The seed decides alone. Throws Error{bad_request} if there are not two records.
SplitSets hold_out(std::vector<WeightedSet> sets, int64_t wanted, uint64_t seed);

/// Another order than that of the samples that are learnt, if a seed is changed by it.
inline constexpr uint64_t kHeldOutSeed = 0x68656c64;

/// What a search compares draws on: eval_data, or if that is empty a part of `data`, which is then not learnt; nothing
/// if it compares on the batches that it trains on. Throws as hold_out() does.
std::vector<WeightedSet> compared_sets(const Recipe& recipe, std::vector<WeightedSet>& data,
                                       std::vector<WeightedSet> eval_data);

/// The sets without these records.
std::vector<std::unique_ptr<data::DataSet>> without(std::vector<std::unique_ptr<data::DataSet>> sets,
                                                    const std::vector<RecordPlace>& left_out);

}  // namespace lithe::tune
