#pragma once

#include "tune/recipe.h"
#include "tune/run.h"
#include "tune/search_report.h"

namespace lithe::tune {

/// run() for a METER model: the search if the recipe says how many attentions it is to find, then the tuning. One
/// process. Throws Error.
RunResult run_meter(const Recipe& recipe, const RunOptions& options);

/// search() for a METER model: its candidates are the self- and cross-attentions of both streams, by the numbers of
/// plan/meter_sites.h.
SearchResult search_meter(const Recipe& recipe, const SearchOptions& search, const RunOptions& options);

}  // namespace lithe::tune
