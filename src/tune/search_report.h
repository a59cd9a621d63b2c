#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

// What a search for redundant attentions tells while it runs and in the end. No tensors, so that front ends can include
// it.
namespace lithe::tune {

/// An attention that a search may skip, as it stands in the ranking.
struct RankedAttention {
  int64_t layer = 0;       ///< Of the decoder; of METER the number of the attention.
  double score = 0;        ///< Higher: less needed.
  double probability = 0;  ///< Of being drawn.
  int64_t drawn = 0;       ///< How often it was skipped so far, in training steps and in comparisons.
  bool skipped = false;    ///< Among those that the search would skip now.
};

/// A search after one of its steps.
struct SearchReport {
  int64_t step = 0, steps = 0;           ///< From 1, and in all.
  double loss = 0;                       ///< Of the training step, under its draw.
  int64_t comparisons = 0;               ///< Of draws on held-out samples, so far.
  bool compared = false;                 ///< In this step, so the scores have changed.
  double seconds = 0;                    ///< Since the search began, without the time between a stop and a resumption.
  std::vector<RankedAttention> ranking;  ///< The most redundant first.
};

/// What a search found.
struct SearchResult {
  int64_t steps = 0, comparisons = 0;
  bool stopped = false;                  ///< Ended early on request, with a checkpoint. Nothing is decided then.
  std::vector<RankedAttention> ranking;  ///< The most redundant first.
  std::vector<int64_t> skipped;          ///< Layers (of METER, attentions) that an adapter is to replace, ascending.
  bool by_layer = true;          ///< Attentions have the numbers of their layers; of METER, numbers of their own.
  std::filesystem::path folder;  ///< With plan.json, scores.json, redundancy.svg and log.jsonl.
};

/// What a search is told beside its recipe.
struct SearchOptions {
  std::string plan;               ///< What draws are taken from: a built-in plan or a file; empty: the recipe's plan.
  std::optional<double> seconds;  ///< The time it may take. It plans as many steps as fit into it.
  double save_seconds = 60;       ///< It saves at least so often, if its recipe says that it saves.
};

}  // namespace lithe::tune
