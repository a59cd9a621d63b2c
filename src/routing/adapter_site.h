#pragma once

#include "routing/attention_site.h"

namespace lithe::routing {

/// x + the adapter's branch, before the branch of a site of this kind. The gate is taken over the rows of the prompt
/// that are given here and frozen in the layer's state.  x: [rows, hidden], cut into sequences by `offsets` -> [rows,
/// hidden]
Tensor apply_rep_adapter(const nn::RepAdapter& adapter, const Tensor& x, const std::vector<int64_t>& offsets,
                         SiteContext& context, Site::Kind kind);

/// Freezes what the adapters of a site read of prompts, where no row of this pass goes through it: decoded rows may.
void freeze_idle(const Site& site, const Tensor& x, const std::vector<int64_t>& offsets, SiteContext& context);

/// What stands in the place of an attention. The token mean and the gate are taken over the rows of the prompt that the
/// layer runs and frozen in the layer's state; decoded rows use what was frozen.  x: [rows, hidden] -> [rows, hidden]
Tensor apply_pia(const nn::Pia& pia, const Tensor& x, const std::vector<int64_t>& offsets, SiteContext& context);

/// METER's: the mean runs over the other stream's rows (cross) or its own (self); no residual of its own.
Tensor pia_branch(const nn::Pia& pia, const Tensor& x, const std::vector<int64_t>& offsets, const OtherStream& read);

}  // namespace lithe::routing
