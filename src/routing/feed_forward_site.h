#pragma once

#include "routing/attention_site.h"

namespace lithe::routing {

/// The branch of the feed-forward site, each row times its weight if there are weights. Sequences whose plan has the
/// self-attention off read the site's stand-in, if it has one. Absent if no row runs the site; its adapters then freeze
/// what they take of prompts. x: [feed-forward rows, hidden], weight: [feed-forward rows] -> as x
std::optional<Tensor> feed_forward(const Site& site, const Tensor& x, const std::optional<Tensor>& weight,
                                   SiteContext& context);

}  // namespace lithe::routing
