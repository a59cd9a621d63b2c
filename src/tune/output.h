#pragma once

#include <filesystem>
#include <functional>

#include "models/model.h"
#include "plan/plan.h"
#include "tune/recipe.h"

namespace lithe::tune {

/// Writes what a recipe tuned into `folder`, which is new or empty: a model folder with its plan, or the PEFT folder if
/// the recipe trains LoRA. Throws Error{bad_file}.
void write_tuned_model(const models::Model& model, const plan::Plan& plan, const Recipe& recipe,
                       const std::filesystem::path& folder);

/// Puts the model that `write` writes into a folder that a run has written to: its files come in whole, config.json or
/// adapter_config.json last, so a kill leaves the former model or one that is refused, never half of each.
void put_whole(const std::filesystem::path& output,
               const std::function<void(const std::filesystem::path& part)>& write);

/// Whether a run's folder holds the tuned model of its checkpoint: every file that the checkpoint has of the model, and
/// the same weights. Texts may be other ones, as a user may have edited them. Throws Error{bad_file}.
bool holds_tuned(const std::filesystem::path& output, const std::filesystem::path& checkpoint);

}  // namespace lithe::tune
