#pragma once

#include <span>

#include "plan/cost.h"
#include "plan/facts.h"
#include "plan/plan.h"
#include "routing/batch.h"
#include "session/session.h"

namespace lithe::session {

/// A prompt of rows of these kinds, as plans are counted; without its tiles, so the tower counts nothing.
plan::PromptShape prompt_shape(std::span<const routing::RowKind> kinds);

/// Counts the prefill of a prompt with rows of these kinds under a validated plan.
CountedCost counted_cost(const plan::ModelFacts& model, const plan::Plan& plan,
                         std::span<const routing::RowKind> kinds);

}  // namespace lithe::session
