#pragma once

#include "tune/recipe.h"
#include "tune/run.h"

namespace lithe::tune {

/// run() for a METER model: the search if the recipe says how many attentions it is to find, then the tuning. One
/// process. Throws Error.
RunResult run_meter(const Recipe& recipe, const RunOptions& options);

/// METER is trained in one process. Throws Error{bad_request} if this one was started among others.
void require_alone();

}  // namespace lithe::tune
