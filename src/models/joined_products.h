#pragma once

#include "models/model.h"

namespace lithe::models {

/// Joins the products that read the same rows: query, key and value of each attention, gate and up of each feed-forward
/// network. Their own weights become views, so no memory is added. For a GPU, where starting a product of few rows
/// takes longer than computing it. Left as they are: codes, weights that learn, and products under LoRA.
void join_products(Model& model);

}  // namespace lithe::models
