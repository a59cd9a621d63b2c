#pragma once

#include <cstdint>

#include "models/model.h"
#include "plan/plan.h"
#include "session/prompt_rows.h"

namespace lithe::session {

/// Most bytes of keys and values that one sequence holds at its end, counted from the plan: what its layers may cache
/// of the prompt, whichever rows are chosen, and every token of the answer. Holds a layer's move into its larger place.
int64_t cache_bytes(const models::Model& model, const plan::Plan& plan, const PromptRows& prompt, int64_t new_tokens);

/// Most bytes that a forward pass over `rows` rows of `sequences` sequences holds beside the layer states. An upper
/// bound: a test measures what passes really take.
int64_t pass_bytes(const models::Model& model, int64_t rows, int64_t sequences);

/// Most bytes that encoding a picture of the largest number of tiles takes; 0 where the model has no tower.
int64_t encode_bytes(const models::Model& model);

}  // namespace lithe::session
