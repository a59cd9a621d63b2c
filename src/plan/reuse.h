#pragma once

#include <cstdint>
#include <span>

#include "plan/facts.h"
#include "plan/plan.h"
#include "plan/rows.h"

namespace lithe::plan {

/// Rows that layer states hold, and the prompt that is to run next over the same model and plan.
struct Turns {
  std::span<const RowKind> held;      ///< In order.
  int64_t held_prompt = 0;            ///< Of these, how many ran as a prompt; the rows after them were decoded.
  std::span<const RowKind> prompt;    ///< The next prompt, whole.
  int64_t equal = 0;                  ///< Leading rows that are the same in both: tokens and pictures.
  bool adapters_read_prompt = false;  ///< The gate or token mean of an adapter is taken over the whole prompt.
};

/// How many leading rows of the next prompt may stay in the layer states, so that a prompt pass over the rest equals a
/// pass over the whole prompt. A cached row may stay only if recomputing it would give the same values and later rows
/// would see the same keys:
/// - Without rules, every equal row; decoded rows equal prompt rows up to rounding. The last row always runs, since its
///   logits are wanted.
/// - A rule that chooses among a group ties the group together. A further row, one less, or a decoded row among them
///   moves k and the choice, from the group's first row on. (Decoded rows are never governed, prompt rows are.) If all
///   of the group is in the rows that stay, nothing changes, whether its rows return or are gone for good: later layers
///   then hold fewer rows, as they would in a fresh run.
/// - A selector that looks at the prompt (`attention`: at its last row) chooses again, from the group's first row on.
/// - A rule that treats all rows of its group alike (keep 0, or a gate alone) only separates decoded rows from prompt
///   rows.
/// - Rows with a key that is not cached are seen by the prompt they came with and by no later one: they run again.
/// - If an adapter reads the whole prompt, nothing stays.
int64_t reusable_rows(const Plan& plan, const ModelFacts& model, const Turns& turns);

/// Whether rows of a prompt may have keys that the prompt sees and the cache does not get. A layer then shows the
/// prompt all its keys as they are computed, and only those of rows that stay as they are stored.
bool leaves_keys_uncached(const Plan& plan);

}  // namespace lithe::plan
