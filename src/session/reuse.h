#pragma once

#include <cstdint>
#include <span>

#include "plan/plan.h"
#include "routing/batch.h"
#include "routing/block.h"

namespace lithe::session {

/// Rows that layer states hold, and the prompt that is to run next over the same model and plan.
struct Turns {
  std::span<const routing::RowKind> held;    ///< In order of position.
  int64_t held_prompt = 0;                   ///< Of these, how many ran as a prompt; those behind were decoded.
  std::span<const routing::RowKind> prompt;  ///< The next prompt, whole.
  int64_t equal = 0;                         ///< Leading rows that are the same in both: tokens and pictures.
};

/// How many leading rows of the next prompt may stay in the layer states, so that a prompt pass over the rest equals a
/// pass over the whole prompt. A row stays where neither what it computed nor what later rows see of it could have come
/// out otherwise:
/// - Without rules, every equal row; decoded rows equal prompt rows up to rounding. The last row always runs, since its
///   logits are wanted.
/// - A rule that chooses among a group ties the group together: a further row, one less, or a decoded row among them
///   (decoded rows are never governed, prompt rows are) moves k and the choice, from the group's first row on. With all
///   of the group in the rows that stay, nothing changes, whether its rows return or are gone for good: later layers
///   then hold fewer rows, as they would anew.
/// - A selector that looks at the prompt (`attention`: at its last row) chooses anew, from the group's first row on.
/// - A rule that treats all rows of its group alike (keep 0, or a gate alone) only parts decoded rows from prompt rows.
/// - Rows with a key that is not cached are seen by the prompt they came with and by no later one: they run again.
/// - Adapters whose gate or token mean is taken over the prompt see every row, so that nothing stays.
int64_t reusable_rows(const plan::Plan& plan, std::span<const routing::Block> blocks, const Turns& turns);

}  // namespace lithe::session
