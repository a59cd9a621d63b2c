#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "data/data_set.h"
#include "tune/ranks.h"
#include "tune/recipe.h"
#include "tune/record_stream.h"
#include "tune/run.h"
#include "tune/search_report.h"

namespace lithe::tune {

/// Data sets that nothing is learnt from.
using HeldOutSets = std::vector<std::unique_ptr<data::DataSet>>;

/// What a tuning run works with whatever its model is.
struct TuningSetup {
  Ranks ranks;  ///< That tune together.
  std::vector<WeightedSet> data;
  HeldOutSets eval_data;
  std::optional<SearchResult> searched;  ///< What the search before the tuning found.
};

/// A model as a tuning run sees it. A Trainer (`Trainer`, `MeterTrainer`) takes steps over batches of Samples.
template <class Sample, class Trainer>
struct TunedModel {
  std::filesystem::path folder;  ///< Or file.
  Trainer& trainer;
  SampleMaker<Sample> maker;              ///< Of what is learnt.
  SampleMaker<Sample> held_out_maker;     ///< Of what is evaluated on.
  std::function<RunEstimate()> estimate;  ///< Its parts and their memory.
  std::function<Evaluation(const HeldOutSets& sets)> evaluate;
  std::function<void(const std::filesystem::path& folder)> write;  ///< What was tuned, into a folder that is empty.
};

/// Trains, evaluates, keeps checkpoints, and writes what was tuned to the recipe's output_dir; of a dry run only says
/// what it would need. Throws Error.
template <class Sample, class Trainer>
RunResult tune_model(const Recipe& recipe, const RunOptions& options, TunedModel<Sample, Trainer> model,
                     TuningSetup setup);

}  // namespace lithe::tune
