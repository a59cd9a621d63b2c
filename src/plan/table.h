#pragma once

#include <string>

#include "base/json.h"
#include "plan/cost.h"

namespace lithe::plan {

/// The cost as a text table of at most 100 columns: a line per run of equal layers (layers, attention, vision rows
/// kept, operations, KV bytes, share of dense), then tower, projector, head and totals beside dense.
std::string to_text(const CostTable& table);

/// Everything in the table, unmerged, for --json.
Json to_json(const CostTable& table);

/// What `lithe inspect` prints of a plan: the shape of the model, the prompt and the table.
std::string render_inspect(const ModelFacts& model, const CostTable& table);

}  // namespace lithe::plan
