#pragma once

#include "routing/attention_site.h"

namespace lithe::routing {

/// Some sequences of a batch, one after another, and where each one's rows begin in what is given.
struct SequenceRange {
  size_t first = 0;
  std::vector<int64_t> offsets;  ///< [sequences of the range + 1]
};

/// x + the adapter's branch, before the branch of a site of this kind. The gate is taken over the rows of the prompt
/// that are given here and frozen in the layer's state.  x: [rows, hidden] -> same
Tensor apply_rep_adapter(const nn::RepAdapter& adapter, const Tensor& x, const SequenceRange& sequences,
                         SiteContext& context, Site::Kind kind);

/// The PIA in place of an attention. The token mean and the gate are taken over the rows of the prompt that the layer
/// runs and frozen in the layer's state; decoded rows use what was frozen.  x: [rows, hidden] -> same
Tensor apply_pia(const nn::Pia& pia, const Tensor& x, const SequenceRange& sequences, SiteContext& context);

/// If no row of this pass goes through the adapter: freezes what it takes of prompts, as decoded rows may need it.
void freeze_idle(const nn::RepAdapter& adapter, const Tensor& x, const SequenceRange& sequences, SiteContext& context,
                 Site::Kind kind);
void freeze_idle(const nn::Pia& pia, const Tensor& x, const SequenceRange& sequences, SiteContext& context);

/// METER's PIA: the mean is taken over the other stream's rows (cross) or its own (self); without its own residual.
/// x: [rows, hidden], cut into sequences by `offsets` -> same
Tensor pia_branch(const nn::Pia& pia, const Tensor& x, const std::vector<int64_t>& offsets, const OtherStream& read);

}  // namespace lithe::routing
