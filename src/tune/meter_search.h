#pragma once

#include "tune/meter_trainer.h"
#include "tune/recipe.h"
#include "tune/run.h"
#include "tune/search_phase.h"
#include "tune/search_report.h"

namespace lithe::tune {

/// How the trainer of a recipe's METER learns.
MeterTrainer::Options meter_trainer_options(const Recipe& recipe, const Ranks& ranks);

/// The search of a recipe over a METER: its candidates are the self- and cross-attentions of both streams, by the
/// numbers of plan/meter_sites.h. `setup`: still without data and steps. Throws Error.
SearchResult search_meter(const Recipe& recipe, const RunOptions& options, SearchSetup setup);

}  // namespace lithe::tune
