#pragma once

#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "nn/adapters/low_rank.h"
#include "nn/attention.h"
#include "nn/mlp.h"
#include "nn/norm.h"
#include "nn/router.h"

namespace lithe::routing {

/// One branch of a block and how it joins. What stands here is the weights' business, not the plan's: a layer whose
/// attention EAS took out has one site less, and its feed-forward site carries norm1 and the PIA (or, folded, norm1
/// alone).
struct Site {
  enum class Kind { self, cross, feed_forward };
  enum class Join {
    pre_norm,   ///< x + branch(norm(x))
    post_norm,  ///< norm(x + branch(x))
  };
  Kind kind = Kind::self;
  Join join = Join::pre_norm;
  nn::Norm norm;
  std::variant<nn::Attention, nn::Mlp, nn::Pia>
      branch;                             ///< A Pia as branch: METER, where it stands in an attention's place.
  std::optional<nn::RepAdapter> adapter;  ///< Before the branch.
  std::optional<nn::Pia> pia;             ///< Before the branch, in place of the attention in front of it.
};

/// One layer: its sites in order, and p-MoD's router where it has one.
struct Block {
  std::vector<Site> sites;
  std::optional<nn::Router> router;
  /// The site of this kind, or null.
  const Site* find(Site::Kind kind) const;
};

/// Whether an adapter of some block takes its gate or its token mean over the whole prompt.
bool read_whole_prompt(std::span<const Block> blocks);

}  // namespace lithe::routing
