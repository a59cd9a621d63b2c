#pragma once

#include "routing/attention_site.h"

namespace lithe::routing {

/// Some sequences of a batch, one after another, and where each one's rows begin in what is given.
struct SequenceRange {
  size_t first = 0;
  std::vector<int64_t> offsets;  ///< [sequences of the range + 1]
  std::vector<int64_t> scopes;   ///< [sequences of the range] how many of a sequence's rows, the first, are the prompt
  std::vector<uint64_t> draws;   ///< [rows of the range] of dropout, or empty
};

/// Every sequence, as the rows of this set lie; the set is relative to the active rows.
SequenceRange range_of(const Rows& rows, const SiteContext& context);

/// The same if every row is of the prompt.
SequenceRange whole_range(std::vector<int64_t> offsets);

// A gate and a token mean are taken over the rows of the prompt that are given, which are those that the layer runs.
// Rows after the prompt read them and are not in them. If no row of the prompt is given, the mean is 0. A pass that
// decodes takes what the prompt froze in the layer's state.

/// x + the adapter's branch, before the branch of a site of this kind.  x: [rows, hidden] -> same
Tensor apply_rep_adapter(const nn::RepAdapter& adapter, const Tensor& x, const SequenceRange& sequences,
                         SiteContext& context, Site::Kind kind);

/// The PIA in place of an attention.  x: [rows, hidden] -> same
Tensor apply_pia(const nn::Pia& pia, const Tensor& x, const SequenceRange& sequences, SiteContext& context);

/// If no row of this pass goes through the adapter: freezes what it takes of prompts, as decoded rows may need it.
void freeze_idle(const nn::RepAdapter& adapter, const Tensor& x, const SequenceRange& sequences, SiteContext& context,
                 Site::Kind kind);
void freeze_idle(const nn::Pia& pia, const Tensor& x, const SequenceRange& sequences, SiteContext& context);

/// METER's PIA: the mean is taken over the rows `read`, of the other stream (cross) or its own (self); without its own
/// residual.  x: [rows of `own`, hidden], read: [rows of `sequences`, hidden] -> as x
Tensor pia_branch(const nn::Pia& pia, const Tensor& x, const SequenceRange& own, const Tensor& read,
                  const SequenceRange& sequences);

}  // namespace lithe::routing
