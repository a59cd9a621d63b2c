#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "plan/facts.h"
#include "plan/plan.h"

namespace lithe::plan {

/// One thing that a decoder layer may do in place of what a base plan says.
struct Move {
  std::string name;  ///< "vision 50 %", "attention off".
  LayerPlan entry;   ///< The whole layer.
};

/// For every decoder layer what it may do; the first move is what the base plan says. All skipped rows return in the
/// next layer, so the moves of layers cost what they cost alone.
using Moves = std::vector<std::vector<Move>>;

/// The move of each decoder layer.
using Combination = std::vector<std::size_t>;

/// The moves of a model that a plan search tries: shares of the vision tokens that run the layer (p-MoD), queries,
/// feed-forward networks or both left out for vision tokens (ShortV), and the attention or the feed-forward network
/// left out for all tokens (EAS). A rule of the base plan over vision tokens keeps its selector and its gate, and only
/// its share changes. `by`: the selector of new rules. Moves that the model cannot run are left out; so are shares of
/// the vision tokens in a layer in which one rule of the base plan governs vision and text tokens.
Moves moves_of(const Plan& base, const ModelFacts& model, const std::string& by);

/// The base plan with these moves.
Plan combined(const Plan& base, const Moves& moves, const Combination& combination, std::string name);

/// The base plan, of whose layers each keeps this share of the vision tokens by the selector `by`; rules over vision
/// tokens keep their own selector and gate. A layer where one rule governs vision and text tokens stays as it is.
Plan evenly_kept(const Plan& base, const ModelFacts& model, const std::string& by, double share);

}  // namespace lithe::plan
