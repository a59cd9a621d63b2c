#pragma once

#include "routing/attention_site.h"

namespace lithe::routing {

/// Self-attention in which a row sees only the rows of its own part of a cut of the batch (window attention of a
/// tower). The parts may lie in any way among the rows. Throws Error{bad_request} if a rule wants to read this
/// attention; nothing can be cached here.  normed: [active, hidden] -> [query rows, hidden]
Tensor cut_attention(const nn::Attention& attention, const Tensor& normed, const SiteContext& context, size_t cut);

}  // namespace lithe::routing
