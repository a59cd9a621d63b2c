#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plan/plan.h"
#include "routing/batch.h"

namespace lithe::session {

/// Most rows of a prompt that each of the decoder's first `layers` layers may cache under a validated plan, whatever
/// its selectors choose. Exact for each layer unless a rule drops rows for good that rules of later layers tell apart.
std::vector<int64_t> most_rows_cached(const plan::Plan& plan, int64_t layers, std::span<const routing::RowKind> kinds);

}  // namespace lithe::session
