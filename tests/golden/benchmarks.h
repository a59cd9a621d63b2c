#pragma once

#include "base/json.h"
#include "golden/check.h"

namespace lithe::golden {

/// Prompts, parsed answers and scores of a benchmark ("records" and "aggregate"), by both protocols.
Check run_benchmark(const Json& json);

}  // namespace lithe::golden
