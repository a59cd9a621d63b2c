#pragma once

#include "routing/run_block.h"

namespace lithe::routing {

/// nn::RowNotes, with what they show.
struct HeldNotes {
  std::vector<uint64_t> draws;
  std::vector<nn::LoraRows> loras;

  operator nn::RowNotes() const { return {draws, loras}; }
};

/// What a site may look at besides its input.
struct SiteContext {
  const Batch& batch;  ///< Rows of the layer's input.
  const RowSets& sets;
  int64_t layer = 0;
  const std::optional<OtherStream>& other;
  std::vector<Recorded>* recorded = nullptr;  ///< As in LayerInput.
  std::vector<int64_t> positions;             ///< The order of the active rows.
  std::optional<ops::RopeAngles> angles;      ///< Of the active rows.
  std::vector<uint64_t> draws;                ///< The same of dropout; empty: nothing is left out.

  /// Those of some active rows.
  std::vector<uint64_t> draws_of(const Rows& rows) const { return draws.empty() ? draws : rows.of(draws); }
  /// What products are told of some active rows.
  HeldNotes notes_of(const Rows& rows) const { return {draws_of(rows), lora_rows(batch.sequences, rows.offsets)}; }
};

/// How many of one sequence's rows in a set, which is relative to the active rows, are the prompt's. They come first.
int64_t prompt_rows(const Rows& rows, const SiteContext& context, size_t sequence);

/// The queries or keys of some active rows, turned by the angles of these rows if the attention is rotary.
/// x: [rows, heads, head_dim] -> same
Tensor rotated(const nn::Attention& attention, const Tensor& x, const Rows& rows, const SiteContext& context);

/// Self-attention of the active rows: queries of sets.query over the cache and sets.key_value; caches sets.cache.
/// normed: [active, hidden], as it is if the site is not pre-norm -> [query rows, hidden]
Tensor self_attention(const nn::Attention& attention, const Tensor& normed, SiteContext& context);

/// Every query row attends to all rows of the other stream's sequence.  normed: [active, hidden] -> [query rows,
/// hidden]
Tensor cross_attention(const nn::Attention& attention, const Tensor& normed, SiteContext& context);

}  // namespace lithe::routing
