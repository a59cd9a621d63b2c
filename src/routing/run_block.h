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

/// What the last watched attention left of one sequence.
struct Recorded {
  std::optional<Tensor> attention;       ///< [positions of the sequence] of one row to all of them
  std::optional<Tensor> text_attention;  ///< The same of the text raters, their mean.
  std::optional<Tensor> keys;            ///< [rows that offered a key, kv_heads, head_dim]
  std::vector<int64_t> key_positions;    ///< The order of these rows, ascending.
};

/// The recorded keys of these positions; NaN if a position offered none.  -> [positions, kv_heads, head_dim]
Tensor keys_at(const Recorded& recorded, const std::vector<int64_t>& positions);

/// What a block reads besides its row sets and its hidden states.
struct LayerInput {
  const Batch& batch;  ///< Rows of the layer's input. Their sequences may be without states.
  int64_t layer = 0;   ///< Which of a sequence's states is this layer's; for errors.
  const std::optional<OtherStream>& other;
  std::vector<Recorded>* recorded = nullptr;  ///< [sequences] receives what `RowSets::watched` asks for.
};

/// Runs one block over the rows that `sets` names. It keeps nothing but what sequences with layer states cache and
/// freeze. So a block that ran without states can run again with the row sets it had (activation checkpointing).
/// x: [rows, hidden] -> [rows that go on, hidden]
Tensor run_block(const Block& block, const RowSets& sets, const Tensor& x, const LayerInput& input);

}  // namespace lithe::routing
