#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "models/model.h"

// config.json and its neighbours for a model in another layout. Numbers are those of the opened model; what no struct
// of the model holds (rope scaling, special ids) comes from its own config.json.
namespace lithe::models {

/// The token that stands for a picture in transformers.
struct ImageMark {
  int64_t id = 0;
  bool added = false;  ///< The source's tokenizer does not know it.
  int64_t rows = 0;    ///< Of the embeddings that are written; more than the vocabulary if the id needs a row.
};

/// "llava" or "llava_next" for transformers. `config`: the source's, in LLaVA's layout. What the layout has no words
/// for is written under "conventions". `tower_inside`: the tower is in the source's own files, not in a folder of its
/// own.
Json hf_config(const Model& model, const JsonView& config, const ImageMark& mark, bool tower_inside);

/// "llava_llama", "llava_mistral" or "pmod_llava_llama". `config`: the source's, in transformers' layout. `p_mod`: the
/// keys that say the model's plan, if they can.
Json original_config(const Model& model, const JsonView& config, const std::optional<Json>& p_mod);

/// A CLIP vision config, as vision_config or in the tower's own folder.
Json tower_config(const VisionTowerConfig& tower);

/// preprocessor_config.json for transformers, or (`of_tower`) as a tower's own folder has it.
Json processor_config(const Model& model, bool of_tower);

/// processor_config.json: what transformers must know to put enough marks into a prompt.
Json prompt_processor_config(const Model& model);

/// Whether this model's prompts and pictures follow LLaVA's own rules, not transformers'.
bool follows_llava(const Model& model);

}  // namespace lithe::models
