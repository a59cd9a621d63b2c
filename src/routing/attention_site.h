#pragma once

#include "routing/executor.h"

namespace lithe::routing {

/// What a site may look at besides its input.
struct SiteContext {
  const Batch& batch;  ///< Rows of the layer's input.
  const RowSets& sets;
  int64_t layer = 0;
  const std::optional<OtherStream>& other;
  const std::vector<std::vector<bool>>& watched;
  AttentionScores& scores;                ///< Written where a later rule reads them.
  std::vector<int64_t> positions;         ///< Of the active rows.
  std::optional<ops::RopeAngles> angles;  ///< Of the active rows.
};

/// Self-attention of the active rows: queries of sets.query over the cache and sets.key_value; caches sets.cache.
/// x: [active, hidden], normed where the site is pre-norm -> [query rows, hidden]
Tensor self_attention(const nn::Attention& attention, const Tensor& x, SiteContext& context);

/// Every query row attends to all rows of the other stream's sequence.  x: [active, hidden] -> [query rows, hidden]
Tensor cross_attention(const nn::Attention& attention, const Tensor& x, SiteContext& context);

}  // namespace lithe::routing
