#pragma once

#include <cstdint>

#include "image/source.h"
#include "models/model.h"
#include "plan/plan.h"
#include "session/prompt_rows.h"
#include "session/session.h"

namespace lithe::session {

/// Bytes of rows that enter the decoder.
int64_t embedding_bytes(const models::Model& model, int64_t rows);

/// Most bytes of keys and values that one sequence holds at its end, counted from the plan: what its layers may cache
/// of the prompt, whichever rows are chosen, and every token of the answer, in whole blocks.
int64_t cache_bytes(const models::Model& model, const plan::Plan& plan, const PromptRows& prompt, int64_t new_tokens);

/// How often the keys and values of a prompt with this many answers are held at most. On a GPU, if there are several,
/// by each and by what they begin from.  one_block: as on a GPU
constexpr int64_t copies_of_prompt(int64_t answers, bool one_block) {
  return one_block && answers > 1 ? answers + 1 : answers;
}

/// Most bytes of keys and values that further answers to the same prompt hold beside those of the first: the tokens of
/// each answer, and of the prompt a block in each layer that is not full. Full blocks are shared. On a GPU each holds
/// the whole prompt, and so does what they begin from.
int64_t branch_bytes(const models::Model& model, const plan::Plan& plan, const PromptRows& prompt, int64_t new_tokens,
                     int64_t further);

/// The same of a prompt of this many rows, whatever its plan and its rows are.
int64_t dense_cache_bytes(const models::Model& model, int64_t prompt_rows, int64_t new_tokens);

/// Most bytes that one of `pictures` pictures of a prompt takes from its file to what is prepared of it, which is not
/// counted.
int64_t preparing_bytes(const models::Model& model, const image::Source& picture, int64_t pictures);

/// What a batch holds.
struct Load {
  int64_t caches = 0;        ///< Bytes, in the worst case.
  int64_t joining_rows = 0;  ///< Of the prompts in the next pass.
  int64_t sequences = 0;
  int64_t longest = 0;     ///< Most rows of one sequence, the prompt and its answer.
  int64_t ready_rows = 0;  ///< Of prompts that are ready and wait.
};

/// Most bytes that a forward pass over the joining rows and a token of each sequence holds beside the layer states. An
/// upper bound: a test measures what passes really take.
int64_t pass_bytes(const models::Model& model, const Load& load);

/// Most bytes of a pass over this load, with the caches and the rows of prompts.
int64_t worst_case(const models::Model& model, const Load& load);

/// What the pictures of requests take, as their headers say.
struct PictureNeeds {
  int64_t preparing_bytes = 0;  ///< Most of one picture while it is decoded and cut into views.
  int64_t most_tiles = 0;       ///< Of one picture.
  int64_t tiles = 0;            ///< Of all.
  int64_t rows = 0;             ///< That all become, at most.

  /// Nothing for a model without a tower, which refuses pictures.
  void add(const models::Model& model, const Request& request);
};

/// Most bytes that a pass of the tower over this many tiles takes, with their prepared pixels; 0 without tiles.
int64_t encode_bytes(const models::Model& model, int64_t tiles);

/// Most bytes of a picture of so many tiles that is prepared for the tower.
int64_t prepared_bytes(const models::Vision& vision, int64_t tiles);

/// Most bytes while pictures of prompts with `rows` rows in all go through the tower, `tiles` at a time, beside a load.
int64_t tower_bytes(const models::Model& model, const Load& load, int64_t rows, int64_t tiles);

}  // namespace lithe::session
