#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/json.h"
#include "models/model.h"
#include "plan/plan.h"

// How a folder says its plan without a plan.json.
namespace lithe::models {

/// The `mod_*` keys with which p-MoD's public configs say this plan for a decoder of `layers` layers:
/// plan::from_public_pmod_config of them is the plan. Absent for plans that those keys cannot say.
std::optional<Json> published_keys(const plan::Plan& plan, int64_t layers);

/// Whether these keys say just the layers of `plan`. Keys that make no sense say nothing.
bool say_plan(const Json& keys, const plan::Plan& plan, int64_t layers);

/// What the weights of a model's folder show of its layers.
struct ShownLayers {
  int64_t layers = 0;  ///< Of the decoder.
  std::vector<int64_t> routers;
  EasLayers decoder, tower;
};
ShownLayers shown_layers(const Model& model);

/// The `mod_*` keys of p-MoD's public configs with which a folder in LLaVA's own layout opens with this plan: `own` if
/// they say it, else found ones. Which attentions are off is left to the weights. Absent for other plans.
std::optional<Json> folder_keys(plan::Plan plan, const ShownLayers& shown, const Json& own);

/// Whether a folder without such keys opens with this plan.
bool show_plan(plan::Plan plan, const ShownLayers& shown);

}  // namespace lithe::models
