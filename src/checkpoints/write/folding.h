#pragma once

#include <filesystem>
#include <vector>

#include "models/model.h"
#include "nn/layer_state.h"
#include "plan/plan.h"

namespace lithe::models {

/// What was folded, and what was left.
struct FoldCount {
  int64_t gains = 0;     ///< Second norms' gains that went into the feed-forward network.
  int64_t adapters = 0;  ///< PIAs and RepAdapters that are gone, folded or not used by the plan.
  int64_t left = 0;      ///< Adapters that stay, because their gate and mean, or whether they run, are up to a request.
  int64_t low_rank = 0;  ///< Products whose LoRA is gone.
  int64_t whole = 0;     ///< Tensors that a LoRA folder brought whole.
  double rounding = 0;   ///< By which a folded 16-bit weight moved at most, relative to the largest of its product.
};

/// What a prompt froze, and the plan that it ran under.
struct FrozenPrompt {
  const std::vector<nn::LayerState>& states;  ///< One per decoder layer.
  const plan::Plan& plan;
};

/// Merged weights are made of the weights as they are held, so codes would put their rounding into the files. Throws
/// Error{bad_request} for a weight with codes.
void require_unrounded(const nn::Weight& weight, const std::string& model);

/// Throws Error{bad_request} if the files of a model hold codes, however they are held.
void require_plain_files(const Model& model);

/// Writes `model` as an ordinary folder of its own layout without what can be folded: safetensors, a config.json that
/// declares the attentions without weights ("fixed_sites"), and every other file as it is. LoRA is folded in any case.
/// Without `frozen` this is exact for every request: gains are folded, and what depends on the request stays a low-rank
/// term. With `frozen` every adapter of the decoder is folded with that prompt's gate and mean, and none is left there;
/// a tower's stay, as each tile has its own. A layer that holds an attention and a PIA stays as it is without `frozen`:
/// both read the same feed-forward network. With it, the layer keeps what the plan runs and loses the other, and the
/// plan is written as plan.json. Weights are folded in float64 and rounded once to the type that they are held in.
/// `folder` is new or empty; to make it appear whole or not at all, give the part of an io::NewFolder. Throws
/// Error{bad_request} if there is nothing to fold, Error{bad_file}.
FoldCount write_folded(const Model& model, const FrozenPrompt* frozen, const std::filesystem::path& folder);

}  // namespace lithe::models
