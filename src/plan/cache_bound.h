#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plan/plan.h"
#include "plan/rows.h"

namespace lithe::plan {

/// Most rows of a prompt that each of the decoder's first `layers` layers may cache under a validated plan, whatever
/// its selectors choose. Exact, except after a permanent drop followed by rules that treat low- and high-resolution
/// rows differently; then an upper bound.
std::vector<int64_t> most_rows_cached(const Plan& plan, int64_t layers, std::span<const RowKind> kinds);

}  // namespace lithe::plan
