#pragma once

#include <cstdint>
#include <span>

#include "models/model.h"
#include "plan/plan.h"
#include "routing/batch.h"

/// Where a long prompt is cut, so that a pass needs memory for its own rows only. The plan and the adapters decide it.
/// Whoever asks for an answer gives a limit (BatchLimits) and cannot choose a cut, so no request is cut wrongly.
namespace lithe::session {

/// Whether a prompt whose rows are of these `kinds` may be cut before row `row`, so that its two parts, run one after
/// the other, equal a pass over all of it. No selector or adapter may lose sight of a part of what it looks at: with
/// p-MoD the vision rows stay together, with a PIA the whole prompt does. Dense plans allow every cut.
bool may_cut(const models::Model& model, const plan::Plan& plan, std::span<const routing::RowKind> kinds, int64_t row);

/// Where the next chunk of a prompt ends of which `held` rows have run: at the last row after which it may be cut and
/// that leaves the chunk at most `most` rows; if it may not be cut there, at the first after it; else at its end.
int64_t next_cut(const models::Model& model, const plan::Plan& plan, std::span<const routing::RowKind> kinds,
                 int64_t held, int64_t most);

}  // namespace lithe::session
