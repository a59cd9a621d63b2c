#pragma once

#include <span>

#include "plan/facts.h"
#include "plan/plan.h"
#include "routing/batch.h"
#include "session/session.h"

namespace lithe::session {

/// Counts the prefill of a prompt with rows of these kinds under a validated plan.
CountedCost counted_cost(const plan::ModelFacts& model, const plan::Plan& plan,
                         std::span<const routing::RowKind> kinds);

}  // namespace lithe::session
