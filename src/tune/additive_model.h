#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "plan/moves.h"

// Which moves of layers to combine, if what each one costs and loses simply adds up.
namespace lithe::tune {

/// A number for each move of each layer; that of the first move is 0.
using MoveValues = std::vector<std::vector<double>>;

/// What a combination lost, measured.
struct MeasuredLoss {
  plan::Combination combination;
  double added = 0;  ///< Its nll above that of the base plan.
};

/// Losses of moves that explain those of single moves and of combinations: each combination's error is shared among its
/// moves in proportion to their losses, again and again, and each move is drawn back to what it lost alone.
MoveValues fitted(const MoveValues& alone, const std::vector<MeasuredLoss>& measured);

/// The sum over a combination.
double sum_of(const MoveValues& values, const plan::Combination& combination);

/// The same of losses, of which those below 0 count as 0: they are chance.
double counted_sum(const MoveValues& losses, const plan::Combination& combination);

/// A move that a combination must hold.
struct ForcedMove {
  std::size_t layer = 0, move = 0;
};

/// The combination with the lowest counted sum of losses whose sum of costs is at most `most`; absent if none is so
/// cheap. Costs are rounded up to a 10,000th of their range, so it may miss the budget by that much, and never exceeds
/// it. Of equal combinations it takes the cheaper one.
std::optional<plan::Combination> cheapest_loss(const MoveValues& losses, const MoveValues& costs, double most,
                                               const std::optional<ForcedMove>& forced = {});

}  // namespace lithe::tune
