#pragma once

#include <cstdint>

#include "plan/cost.h"
#include "plan/facts.h"

namespace lithe::cli {

/// How many numbers the weights hold: as they are where there are weights, else as the shape says.
plan::ParameterCount count_parameters(const plan::ModelFacts& model);

/// Operations of one decode step behind a prompt of which layer l holds rows_held[l] rows, counted as docs/counting.md
/// says: layers without attention (as `cost` says) spend nothing on it.
double decode_flops(const plan::ModelFacts& model, const std::vector<plan::LayerCost>& layers);

}  // namespace lithe::cli
