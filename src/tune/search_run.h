#pragma once

#include <cstdint>
#include <optional>

#include "tune/methods.h"
#include "tune/ranks.h"
#include "tune/recipe.h"
#include "tune/run.h"
#include "tune/search_report.h"

// The way from a recipe into a search, alone (`search` of run.h) or before the tuning.
namespace lithe::tune {

/// Whether the recipe says how many attentions a search is to find.
bool searches(const Recipe& recipe);

/// Throws Error for a search over this model that would refuse to begin. `steps`: of the tuning.
void check_search(const Recipe& recipe, const ReadyModel& ready, int64_t steps);

/// What the search of a recipe finds, or found in the run that this one goes on with. Absent: there is none, or the run
/// is a dry one. Throws Error.
std::optional<SearchResult> searched(const Recipe& recipe, const RunOptions& options, const Ranks& ranks);

}  // namespace lithe::tune
