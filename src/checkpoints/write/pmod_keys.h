#pragma once

#include <optional>

#include "base/json.h"
#include "plan/plan.h"

namespace lithe::models {

/// The `mod_*` keys with which p-MoD's public configs say this plan for a decoder of `layers` layers:
/// plan::from_public_pmod_config of them is the plan. Absent for plans that those keys cannot say.
std::optional<Json> published_keys(const plan::Plan& plan, int64_t layers);

/// Whether these keys say just the layers of `plan`. Keys that make no sense say nothing.
bool say_plan(const Json& keys, const plan::Plan& plan, int64_t layers);

}  // namespace lithe::models
