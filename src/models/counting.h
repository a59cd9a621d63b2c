#pragma once

#include <vector>

#include "models/model.h"
#include "plan/facts.h"

namespace lithe::models {

/// Numbers in the weights of a model that is loaded, as they are: layers without attention have none for it, adapters
/// and LoRA count by themselves.
plan::ParameterCount count_parameters(const Model& model);

/// LoRA beside the products of a model that is loaded, for the cost of a plan. `over`: the rows are under it too; null:
/// under none.
std::vector<plan::LowRankFacts> low_rank_facts(const Model& model, const nn::Lora* over = nullptr);

}  // namespace lithe::models
