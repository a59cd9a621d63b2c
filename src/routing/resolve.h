#pragma once

#include "routing/batch.h"
#include "routing/block.h"

namespace lithe::routing {

/// What a plan's rules need besides the rows: for each sequence, what its last prompt row gave to each position in the
/// last attention that was watched.  [positions of the sequence] or absent.
using AttentionScores = std::vector<std::optional<Tensor>>;

/// Turns the plan of every sequence into row sets for one layer.  hidden: [rows, hidden], the layer's input.
/// What a rule means for rows is in plan/rows.h. Throws Error{bad_request} with the layer's number for a rule that
/// cannot be met.
RowSets resolve(const Batch& batch, const Block& block, const std::string& stream, int64_t layer, const Tensor& hidden,
                const AttentionScores& scores);

/// The raw router logits as weights: scale * norm(z) + bias.  z: [group] -> [group]
Tensor gate_weights(const plan::Gate& gate, const Tensor& logits);

}  // namespace lithe::routing
