#pragma once

#include "routing/batch.h"
#include "routing/block.h"
#include "routing/run_block.h"

namespace lithe::routing {

/// A layer, and what the layers before it left for those who choose rows.
struct LayerStart {
  const std::string& stream;
  int64_t layer = 0;
  const std::vector<Recorded>& recorded;  ///< [sequences]
  const std::optional<Tensor>& before;    ///< [rows, hidden] the input of the layer before, if a rule reads it
};

/// Turns the plan of every sequence into row sets for one layer.  hidden: [rows, hidden], the layer's input.
/// What a rule means for rows is in plan/rows.h. Throws Error{bad_request} with the layer's number for a rule that it
/// cannot apply.
RowSets resolve(const Batch& batch, const Block& block, const LayerStart& start, const Tensor& hidden);

/// The weights of gated rows, computed again from the layer's input: a block that runs again takes these, so that
/// gradients reach the router.  hidden: [rows, hidden]
void weigh_again(const Block& block, const Tensor& hidden, RowSets& sets);

/// The raw router logits as weights: scale * norm(z) + bias.  z: [group] -> [group]
Tensor gate_weights(const plan::Gate& gate, const Tensor& logits);

}  // namespace lithe::routing
