#pragma once

#include "cli/cli11.h"
#include "session/request.h"

namespace lithe::cli {

/// Declares the flags that say how tokens are drawn and where an answer ends: --temp, --top-k, --top-p, --min-p,
/// --repeat-penalty, --max-tokens and --stop.
void add_sampling(CLI::App& app, session::Question& question);

/// Throws Error{bad_request} for flags of the question that only generated answers obey. `whom`: who they are for, and
/// why not here.
void refuse_generation_flags(const session::Question& question, const char* whom);

}  // namespace lithe::cli
