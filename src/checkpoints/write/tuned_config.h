#pragma once

#include "base/json.h"
#include "checkpoints/write/pmod_keys.h"
#include "models/model.h"
#include "plan/plan.h"

namespace lithe::models {

/// config.json of a tuned folder.
struct TunedConfig {
  Json json;
  bool says_plan = false;  ///< With the weights: a plan.json is not needed.
};

/// `config` with what the reader needs of a model that got routers or adapters: in LLaVA's own layout the `mod_*` keys
/// if they can say `plan`, and "eas" if scale or temperature are not the published ones. `shown`: of the new folder.
/// Throws Error{bad_request} if adapters differ in those.
TunedConfig tuned_config(const Model& model, const plan::Plan& plan, const ShownLayers& shown, Json config);

/// Writes "eas" into `config`: scale and temperature of the adapters, which no tensor shows, unless both are the
/// published ones. Throws Error{bad_request} if adapters differ in them.
void say_shape_of_adapters(const Model& model, const ShownLayers& shown, Json& config);

}  // namespace lithe::models
