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
  std::span<const int64_t>
      text;  ///< If the scope is the prompt: its text rows after the group's first row, in `hidden`
  // As far as the selector reads it (plan::Reads) and there is one:
  std::optional<Tensor> weight;     ///< [group] router weights
  std::optional<Tensor> attention;  ///< [group] attention weights on these rows, in the attention before
  std::optional<Tensor> keys;       ///< [group, kv_heads, head_dim] of the attention before; NaN if a row offered none
  std::optional<Tensor> text_keys;  ///< [text, kv_heads, head_dim] the same of `text`
  std::optional<Tensor> before;     ///< [group, hidden] the input of the layer before
  std::optional<Tensor> picture_scores;  ///< [group] Sequence::picture_scores
};

struct Selector {
  const plan::SelectorFacts* facts;
  /// Indices into `rows`, ascending, `keep` of them. Among equals the lowest row wins.
  std::vector<int64_t> (*choose)(const Candidates&);
};

/// By name; null if no selector has it. A new selector is one file, one line in selector.cpp and one of facts in
/// plan/selectors.cpp.
const Selector* find_selector(const std::string& name);

std::vector<int64_t> choose_by_router(const Candidates&);
std::vector<int64_t> choose_at_random(const Candidates&);
std::vector<int64_t> choose_uniformly(const Candidates&);
std::vector<int64_t> choose_by_attention(const Candidates&);
std::vector<int64_t> choose_by_similarity(const Candidates&);
std::vector<int64_t> choose_first(const Candidates&);
std::vector<int64_t> choose_by_key_norm(const Candidates&);
std::vector<int64_t> choose_by_variation(const Candidates&);
std::vector<int64_t> choose_without_duplicates(const Candidates&);
std::vector<int64_t> choose_for_diversity(const Candidates&);
std::vector<int64_t> choose_by_relevance(const Candidates&);
std::vector<int64_t> choose_by_picture(const Candidates&);
std::vector<int64_t> choose_given(const Candidates&);

/// The `keep` highest scores, ties to the lowest index, NaN below everything, ascending.  scores: [group]
std::vector<int64_t> highest(const Tensor& scores, int64_t keep);

}  // namespace lithe::routing
