#pragma once

#include "plan/facts.h"
#include "plan/plan.h"

namespace lithe::plan {

/// Most rules of one layer.
constexpr std::size_t kMaxRules = 16;

/// Throws Error{bad_request} that names the site if the plan contradicts itself or the model: a layer or stream that
/// does not exist, a site twice, a share outside [0, 1], not exactly one of share and count, an unknown selector, a
/// router that the layer does not have, a gate without a router, a cached row that offers no key, a selector that looks
/// at an attention that did not run before, a permanent drop of rows that the answer is read from, an attention that is
/// on but has no weights.
void validate(const Plan& plan, const ModelFacts& model);

}  // namespace lithe::plan
