#pragma once

#include "nn/attention.h"
#include "ops/key_values.h"
#include "routing/attention_site.h"

namespace lithe::routing {

/// A self-attention that is about to run.
struct AttentionPass {
  const nn::Attention& attention;
  const Tensor& queries;               ///< [query rows, heads, head_dim]
  std::span<const int64_t> positions;  ///< Of the query rows.
  const ops::KeyValueView& seen;       ///< What the prompt's queries of the sequence see.
  ops::FreshRows offered;              ///< Keys of all sequences.
};

/// Writes down what `RowSets::watched` asks for of one sequence. If no row of the prompt forms a query here, the
/// attention that was recorded before stays. If no rater does, the last row of the prompt that does stands for them.
void record_attention(const AttentionPass& pass, const SiteContext& context, size_t sequence, Recorded& recorded);

}  // namespace lithe::routing
