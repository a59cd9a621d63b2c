#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/lora.h"
#include "models/model.h"
#include "plan/plan.h"
#include "tune/recipe.h"

namespace lithe::tune {

/// A model with all that a recipe's methods add to it, what learns as float32 leaves, and the plan that it trains
/// under.
struct ReadyModel {
  std::unique_ptr<models::Model> model;
  plan::Plan plan;
  std::vector<std::string> notes;  ///< What a recipe's reader may not expect: sentences to show once.
};

/// The LoRA that a recipe with `lora` trains: its own, or that of the adapter that the model was opened with. Throws
/// Error for an adapter that can't be tuned further.
models::LoraShape lora_shape(const Recipe& recipe, const models::Model& model);

/// Opens the recipe's model and adds routers and adapters. `skipped`: the layers whose attention EAS skips, if a search
/// found them; else those of the recipe. `device`: where it trains, "cpu" or "cuda:N". What learns without `train`:
///   no method        decoder and projector
///   p_mod            decoder, projector, routers
///   eas              adapters and projector, as published; with p_mod the routers too
///   lora             its factors, and what the other methods add
/// Throws Error.
ReadyModel ready_model(const Recipe& recipe, const std::vector<int64_t>& skipped = {},
                       const std::string& device = "cpu");

}  // namespace lithe::tune
