#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/model.h"

namespace lithe::models {

/// LoRA that is to learn. Names and defaults are PEFT's, but for alpha.
struct LoraShape {
  int64_t rank = 8;
  double alpha = 16;
  bool rank_stabilised = false;  ///< alpha / sqrt(rank) instead of alpha / rank.
  double dropout = 0;            ///< Of what the term reads, in training.
  /// The ends of the names of products ("q_proj", "mlp.up_proj"), or "all-linear" alone: every product of a layer.
  std::vector<std::string> target_modules{"all-linear"};
  bool projector = false, tower = false;  ///< Whether products of these parts are adapted too.
  uint64_t seed = 0;

  double scale() const;
};

/// Whether PEFT takes a module for one that `target` names: a name, or its last parts.
bool ends_with_module(std::string_view module, std::string_view target);

/// Puts LoRA on products of a model, as PEFT begins: A is uniform within 1 / sqrt(in), B is 0, so the model answers as
/// before. The factors are float32 leaves that ask for gradients. Throws Error{bad_request}: the model has LoRA
/// already, nothing has such a name, a head that is tied to the embeddings, a shape that makes no sense. The model is
/// then as it was.
void add_lora(Model& model, const LoraShape& shape);

/// Of the LoRA that a model has, in training. The seed decides what is left out, as that of a shape does.
void set_lora_dropout(Model& model, double dropout, uint64_t seed);

}  // namespace lithe::models
