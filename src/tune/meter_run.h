#pragma once

#include <optional>

#include "tune/ranks.h"
#include "tune/recipe.h"
#include "tune/run.h"
#include "tune/search_report.h"

namespace lithe::tune {

/// The tuning of a recipe's METER, after what a search found if there was one. Throws Error.
RunResult tune_meter(const Recipe& recipe, const RunOptions& options, const Ranks& ranks,
                     std::optional<SearchResult> searched);

}  // namespace lithe::tune
