#pragma once

#include <cstdint>

#include "models/meter/meter.h"
#include "tune/recipe.h"
#include "tune/run.h"
#include "tune/search_phase.h"
#include "tune/search_report.h"

namespace lithe::tune {

/// The search of a recipe over a METER: its candidates are the self- and cross-attentions of both streams, by the
/// numbers of plan/meter_sites.h. `setup`: still without data and steps. Throws Error.
SearchResult search_meter(const Recipe& recipe, const RunOptions& options, SearchSetup setup);

/// Throws Error for a search over this METER that would refuse to begin. `steps`: of the tuning.
void check_meter_search(const Recipe& recipe, const models::Meter& meter, int64_t steps);

}  // namespace lithe::tune
