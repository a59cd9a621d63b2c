#pragma once

#include "cli/cli11.h"
#include "session/request.h"

namespace lithe::cli {

/// Declares the flags that say how tokens are drawn and where an answer ends: --temp, --top-k, --top-p, --min-p,
/// --repeat-penalty, --max-tokens and --stop.
void add_sampling(CLI::App& app, session::Question& question);

}  // namespace lithe::cli
