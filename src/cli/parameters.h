#pragma once

#include <cstdint>

#include "plan/cost.h"
#include "plan/facts.h"

namespace lithe::cli {

/// How many numbers the weights hold: as they are if there are weights, else as the shape says.
plan::ParameterCount count_parameters(const plan::ModelFacts& model);

/// Operations of one decode step after a prompt of which `layers` hold their cached rows, counted as docs/counting.md
/// says: layers without attention spend nothing on it.
double decode_flops(const plan::ModelFacts& model, const std::vector<plan::LayerCost>& layers);

}  // namespace lithe::cli
