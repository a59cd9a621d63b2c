#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "tune/methods.h"
#include "tune/redundancy.h"
#include "tune/run.h"
#include "tune/search_report.h"
#include "tune/stream.h"
#include "tune/trainer.h"

namespace lithe::tune {

/// What a search works with, as a tuning run of the same recipe has it.
struct SearchParts {
  ReadyModel ready;        ///< With adapters in every layer, so that a draw is just a plan.
  TrainerOptions trainer;  ///< With the ranks that search together.
  StreamOptions stream;
  std::vector<WeightedSet> data, eval_data;
  int64_t steps = 0;              ///< Of the tuning: the search takes as many if its recipe says no number.
  std::optional<double> seconds;  ///< The time it may take.
  std::filesystem::path folder;   ///< Where it leaves what it found, and checkpoints until then.
  std::optional<std::filesystem::path> resumed;  ///< The checkpoint that it goes on from.
};

/// How the search of a recipe draws and learns.
RedundancySettings redundancy_settings(const EasSearchRecipe& search);

/// Trains adapters under draws of attentions to skip, compares draws on held-out samples, and writes plan.json,
/// redundancy.svg and scores.json when it is done. The same recipe gives the same draws and scores, resumed or not.
/// Throws Error.
SearchResult search_attentions(const Recipe& recipe, const RunOptions& options, SearchParts parts);

}  // namespace lithe::tune
