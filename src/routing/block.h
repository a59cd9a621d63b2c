#pragma once

#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "nn/adapters/low_rank.h"
#include "nn/attention.h"
#include "nn/mlp.h"
#include "nn/norm.h"
#include "nn/router.h"
#include "plan/plan.h"

namespace lithe::routing {

/// What takes an attention's place in a block that holds both. The plan of each sequence picks.
struct StandIn {
  /// At the feed-forward site: what it reads instead of its own norm, norm1. Absent at the attention's own site.
  std::optional<nn::Norm> norm;
  /// At the feed-forward site: before the branch, absent if it is folded into the branch. At the attention's own site:
  /// the branch (METER).
  std::optional<nn::Pia> pia;
};

/// One branch of a block and how it joins. Which attentions and stand-ins there are is up to the weights: if a layer
/// lost its attention permanently (EAS), it has one site less, and its feed-forward site has norm1 and the PIA (or,
/// folded, norm1 alone).
struct Site {
  enum class Kind { self, cross, feed_forward };
  enum class Join {
    pre_norm,   ///< x + branch(norm(x))
    post_norm,  ///< norm(x + branch(x))
  };
  Kind kind = Kind::self;
  Join join = Join::pre_norm;
  nn::Norm norm;
  std::variant<nn::Attention, nn::Mlp, nn::Pia> branch;  ///< A Pia as branch: METER, in an attention's place.
  std::optional<nn::RepAdapter> adapter;                 ///< Before the branch.
  std::optional<nn::Pia> pia;       ///< Before the branch, in place of the attention in front of it.
  std::optional<StandIn> stand_in;  ///< For sequences whose plan has the attention off: this site's, or `self`.
  std::optional<size_t> cut;        ///< `self`: rows see only their own part of this cut (Batch::cuts).
};

/// One layer: its sites in order, and p-MoD's router if it has one.
struct Block {
  std::vector<Site> sites;
  std::optional<nn::Router> router;
  /// The site of this kind, or null.
  const Site* find(Site::Kind kind) const;
};

/// Whether an adapter that a plan lets run takes its gate or its token mean over the whole prompt.
bool read_whole_prompt(std::span<const Block> blocks, const plan::Plan& plan, const std::string& stream);

}  // namespace lithe::routing
