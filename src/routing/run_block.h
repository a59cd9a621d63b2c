#pragma once

#include "routing/batch.h"
#include "routing/block.h"

namespace lithe::routing {

/// The rows that a cross-attention or a METER PIA reads: the other stream's values when this layer starts.
struct OtherStream {
  Tensor hidden;                 ///< [rows, hidden]
  std::vector<int64_t> offsets;  ///< [sequences + 1]
  std::vector<RowKind>
      kinds;  ///< [rows], or empty: all real. Padding offers no keys, but a PIA's mean counts it, as published
};

/// For each sequence, the attention weights of its last prompt row, by position, in the last attention that was
/// recorded: [positions of the sequence], or absent.
using AttentionScores = std::vector<std::optional<Tensor>>;

/// What a block reads besides its row sets and its hidden states.
struct LayerInput {
  const Batch& batch;  ///< Rows of the layer's input. Their sequences may be without states.
  int64_t layer = 0;   ///< Which of a sequence's states is this layer's; for errors.
  const std::optional<OtherStream>& other;
  AttentionScores* scores = nullptr;  ///< Receives those of the sequences that `RowSets::watched` names.
};

/// Runs one block over the rows that `sets` names. It keeps nothing but what sequences with layer states cache and
/// freeze. So a block that ran without states can run again with the row sets it had (activation checkpointing).
/// x: [rows, hidden] -> [rows that go on, hidden]
Tensor run_block(const Block& block, const RowSets& sets, const Tensor& x, const LayerInput& input);

}  // namespace lithe::routing
