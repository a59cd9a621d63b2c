#pragma once

#include <cstdint>

#include "image/source.h"
#include "models/model.h"
#include "plan/plan.h"
#include "session/prompt_rows.h"

namespace lithe::session {

/// Most bytes of keys and values that one sequence holds at its end, counted from the plan: what its layers may cache
/// of the prompt, whichever rows are chosen, and every token of the answer, in whole blocks.
int64_t cache_bytes(const models::Model& model, const plan::Plan& plan, const PromptRows& prompt, int64_t new_tokens);

/// Most bytes that a forward pass over `rows` rows of `sequences` sequences holds beside the layer states. An upper
/// bound: a test measures what passes really take.
int64_t pass_bytes(const models::Model& model, int64_t rows, int64_t sequences);

/// Most tiles that a picture has; 0 if the model has no tower.
int64_t most_tiles(const models::Model& model);

/// Most bytes that a pass of the tower over this many tiles takes, with their prepared pixels; 0 without tiles.
int64_t encode_bytes(const models::Model& model, int64_t tiles);

/// Most bytes of a picture that is prepared for the tower.
int64_t prepared_bytes(const models::Model& model);

/// Most bytes that one of `pictures` pictures of a prompt takes from its file to what is prepared of it, which is not
/// counted.
int64_t preparing_bytes(const models::Model& model, const image::Source& picture, int64_t pictures);

/// What a batch holds.
struct Load {
  int64_t caches = 0;        ///< Bytes, in the worst case.
  int64_t joining_rows = 0;  ///< Of the prompts in the next pass.
  int64_t sequences = 0;
  int64_t ready_rows = 0;  ///< Of prompts that are ready and wait.
};

/// Most bytes of a pass over this load, or of the smallest pass of the tower beside it.
int64_t worst_case(const models::Model& model, const Load& load);

/// Most bytes of the same while pictures of prompts with `rows` rows in all go through the tower, `tiles` at a time.
int64_t tower_bytes(const models::Model& model, const Load& load, int64_t rows, int64_t tiles);

}  // namespace lithe::session
