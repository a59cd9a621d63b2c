#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/data_set.h"
#include "models/model.h"
#include "tune/meter_trainer.h"
#include "tune/ranks.h"
#include "tune/recipe.h"
#include "tune/record_stream.h"
#include "tune/sample.h"
#include "tune/trainer.h"

// A recipe as the parts of a run take it.
namespace lithe::tune {

/// Opens a data set of a recipe, with pictures as the model's preprocessing decodes them. Throws Error.
std::unique_ptr<data::DataSet> open_set(const DataSet& set, const models::Model& model);
std::vector<WeightedSet> open_sets(const std::vector<DataSet>& sets, const models::Model& model);
/// open_set(), but throws Error{bad_file} if the set has no record.
std::unique_ptr<data::DataSet> open_records(const DataSet& set, const models::Model& model);

/// Throws Error{bad_request} if the recipe wants longer samples than the model takes.
SampleOptions sample_options(const Recipe& recipe, const models::Model& model);
TrainerOptions trainer_options(const Recipe& recipe, const SampleOptions& sample, const Ranks& ranks);
MeterTrainer::Options meter_trainer_options(const Recipe& recipe, const Ranks& ranks);
RecordStreamOptions record_stream_options(const Recipe& recipe, const Ranks& ranks);

/// Samples of an optimiser step, over all ranks.
int64_t global_batch(const Recipe& recipe, const Ranks& ranks);

/// `max_steps`, or those of the epochs, which take `per_epoch` records each.
int64_t steps_of(const Recipe& recipe, const Ranks& ranks, int64_t per_epoch);

}  // namespace lithe::tune
