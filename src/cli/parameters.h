#pragma once

#include <cstdint>

#include "plan/cost.h"
#include "plan/facts.h"

namespace lithe::cli {

/// How many numbers the weights of a shape hold: decoder, head and embeddings; the tower's layers that run; projector.
struct ParameterCount {
  int64_t decoder = 0;  ///< Layers and the last norm.
  int64_t embeddings = 0;
  int64_t head = 0;
  int64_t tower = 0;
  int64_t projector = 0;
  int64_t total() const { return decoder + embeddings + head + tower + projector; }
};
ParameterCount count_parameters(const plan::ModelFacts& model);

/// Operations of one decode step behind a prompt of which layer l holds rows_held[l] rows, counted as docs/counting.md
/// says: layers without attention (as `cost` says) spend nothing on it.
double decode_flops(const plan::ModelFacts& model, const std::vector<plan::LayerCost>& layers);

}  // namespace lithe::cli
