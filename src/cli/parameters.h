#pragma once

#include <cstdint>

#include "plan/cost.h"
#include "plan/facts.h"
#include "plan/plan.h"

namespace lithe::cli {

/// How many numbers the weights hold: as they are if there are weights, else as the shape says, with the adapters that
/// `plan` runs.
plan::ParameterCount count_parameters(const plan::ModelFacts& model, const plan::Plan& plan);

/// Of a shape with adapters, how many of them are trained: adapters, projector, and modality rows.
int64_t trained_parameters(const plan::ModelFacts& model, const plan::ParameterCount& count);

/// Operations of one decode step after a prompt of which `layers` hold their cached rows, counted as docs/counting.md
/// says: layers without attention spend nothing on it.
double decode_flops(const plan::ModelFacts& model, const std::vector<plan::LayerCost>& layers);

}  // namespace lithe::cli
