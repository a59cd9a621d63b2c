#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "plan/plan.h"
#include "tune/ranks.h"
#include "tune/recipe.h"
#include "tune/record_stream.h"
#include "tune/redundancy.h"
#include "tune/run.h"
#include "tune/search.h"
#include "tune/search_report.h"

namespace lithe::tune {

/// What a search works with whatever its model is.
struct SearchSetup {
  Ranks ranks;  ///< That search together.
  std::vector<WeightedSet> data, eval_data;
  int64_t steps = 0;              ///< Of the tuning: the search takes as many if its recipe says no number.
  std::optional<double> seconds;  ///< The time it may take.
  double save_seconds = 60;       ///< Between two checkpoints at most.
  std::filesystem::path folder;   ///< Where it leaves what it found, and checkpoints until then.
  std::optional<std::filesystem::path> resumed;  ///< The checkpoint that it goes on from.
};

/// A model as a search sees it. A Trainer (`Trainer`, `MeterTrainer`) takes steps over batches of Samples, and tells
/// the loss of a batch, under any plan.
template <class Sample, class Trainer>
struct SearchedModel {
  std::filesystem::path folder;       ///< Or file.
  plan::Plan plan;                    ///< That draws are taken from.
  std::vector<Candidate> candidates;  ///< Each has an adapter that can take its place, so that a draw is just a plan.
  /// The attentions that a plan leaves out and adapters replace, as recipes number them, ascending.
  std::function<std::vector<int64_t>(const plan::Plan&)> skipped;
  SampleMaker<Sample> maker;
  /// A trainer of the model from its first step on.
  std::function<std::unique_ptr<Trainer>()> trainer;
};

/// How the search of a recipe draws and learns.
RedundancySettings redundancy_settings(const EasSearchRecipe& search);

/// Throws Error{bad_request} for a search that has nothing to find or to compare. `steps`: of the tuning.
void check_search(const Recipe& recipe, std::vector<Candidate> candidates, int64_t steps);

/// Trains adapters under draws of attentions to skip, compares draws on held-out samples, and writes plan.json,
/// redundancy.svg and scores.json when it is done. The same recipe gives the same draws and scores, resumed or not.
/// Throws Error.
template <class Sample, class Trainer>
SearchResult search_attentions(const Recipe& recipe, const RunOptions& options, SearchedModel<Sample, Trainer> model,
                               SearchSetup setup);

}  // namespace lithe::tune
