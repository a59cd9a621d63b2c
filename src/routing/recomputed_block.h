#pragma once

#include "routing/run_block.h"

namespace lithe::routing {

/// run_block for training with little memory (activation checkpointing, arXiv 1604.06174): only x is kept, and the
/// block runs again for its gradients with the row sets that it had, so no row is chosen twice. Gradients of weights
/// are added to their leaves during the backward pass. The block must live until then, and reads no other stream.
/// Without gradients it is run_block.
Tensor run_recomputed(const Block& block, const RowSets& sets, const Tensor& x, const LayerInput& input);

}  // namespace lithe::routing
