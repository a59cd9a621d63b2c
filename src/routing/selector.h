#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plan/facts.h"

namespace lithe::routing {

using at::Tensor;

/// What a selector may look at: one sequence, one group.
struct Candidates {
  const Tensor& hidden;           ///< [rows, hidden] the layer's input, all rows of the batch
  std::span<const int64_t> rows;  ///< The group's rows in `hidden`, ascending
  int64_t keep = 0;               ///< How many to choose, at most rows.size()
  int64_t layer = 0;
  uint64_t seed = 0;
  std::optional<Tensor> weight;  ///< [group] router weights
  std::optional<Tensor>
      attention;  ///< [group] attention weights of the last prompt row on these rows, in the attention before
};

struct Selector {
  const char* name;
  plan::Scope scope;
  /// Indices into `rows`, ascending, `keep` of them. Among equals the lowest row wins.
  std::vector<int64_t> (*choose)(const Candidates&);
};

/// By name; null if no selector has it. The catalogue is a plain table in selector.cpp: a new selector is one file and
/// one line there.
const Selector* find_selector(const std::string& name);
/// The catalogue without its functions.
std::vector<plan::SelectorFacts> selector_facts();

std::vector<int64_t> choose_by_router(const Candidates&);
std::vector<int64_t> choose_at_random(const Candidates&);
std::vector<int64_t> choose_uniformly(const Candidates&);
std::vector<int64_t> choose_by_attention(const Candidates&);
std::vector<int64_t> choose_by_similarity(const Candidates&);
std::vector<int64_t> choose_first(const Candidates&);

/// The `keep` highest scores, ties to the lowest index, NaN below everything, ascending.  scores: [group]
std::vector<int64_t> highest(const Tensor& scores, int64_t keep);

}  // namespace lithe::routing
