#include "tune/additive_model.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace lithe::tune {
namespace {

constexpr int kSweeps = 50;
constexpr double kStep = 0.5, kPull = 0.02;  // of a combination's error; towards what a move lost alone
constexpr int64_t kCells = 10'000;

double mean_size(const MoveValues& values) {
  double sum = 0, count = 0;
  for (const std::vector<double>& layer : values) {
    for (const double value : layer) sum += std::abs(value);
    count += static_cast<double>(layer.size());
  }
  return count > 0 ? sum / count : 0;
}

/// What a move costs above the cheapest move of its layer, in cells.
struct Cells {
  std::vector<std::vector<int64_t>> cost;
  int64_t room = 0;  ///< Below 0: nothing fits.
};

Cells cells_of(const MoveValues& costs, double most) {
  double least = 0, range = 0;
  for (const std::vector<double>& layer : costs) {
    const auto [low, high] = std::minmax_element(layer.begin(), layer.end());
    least += *low;
    range += *high - *low;
  }
  const double cell = std::max(range, std::numeric_limits<double>::min()) / static_cast<double>(kCells);
  Cells cells;
  for (const std::vector<double>& layer : costs) {
    const double low = *std::min_element(layer.begin(), layer.end());
    std::vector<int64_t>& own = cells.cost.emplace_back();
    for (const double cost : layer) own.push_back(static_cast<int64_t>(std::ceil((cost - low) / cell - 1e-9)));
  }
  // All moves at their dearest take at most kCells and one more for each layer.
  const double room = std::floor((most - least) / cell + 1e-6);
  const auto all = kCells + static_cast<int64_t>(costs.size());
  cells.room = most - least < -1e-9 * std::abs(most) ? -1 : static_cast<int64_t>(std::clamp(room, 0.0, double(all)));
  return cells;
}

}  // namespace

double sum_of(const MoveValues& values, const plan::Combination& combination) {
  double sum = 0;
  for (std::size_t layer = 0; layer < combination.size(); ++layer) sum += values[layer][combination[layer]];
  return sum;
}

double counted_sum(const MoveValues& losses, const plan::Combination& combination) {
  double sum = 0;
  for (std::size_t layer = 0; layer < combination.size(); ++layer)
    sum += std::max(losses[layer][combination[layer]], 0.0);
  return sum;
}

MoveValues fitted(const MoveValues& alone, const std::vector<MeasuredLoss>& measured) {
  MoveValues values = alone;
  const double floor = 0.1 * mean_size(alone) + 1e-12;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (const MeasuredLoss& one : measured) {
      double weights = 0;
      const auto weight = [&](std::size_t layer) {
        const std::size_t move = one.combination[layer];
        return move == 0 ? 0.0 : std::abs(alone[layer][move]) + floor;
      };
      for (std::size_t layer = 0; layer < values.size(); ++layer) weights += weight(layer);
      if (weights == 0) continue;
      const double error = one.added - sum_of(values, one.combination);
      for (std::size_t layer = 0; layer < values.size(); ++layer)
        values[layer][one.combination[layer]] += kStep * error * weight(layer) / weights;
    }
    for (std::size_t layer = 0; layer < values.size(); ++layer)
      for (std::size_t move = 1; move < values[layer].size(); ++move)
        values[layer][move] += kPull * (alone[layer][move] - values[layer][move]);
  }
  return values;
}

std::optional<plan::Combination> cheapest_loss(const MoveValues& losses, const MoveValues& costs, double most,
                                               const std::optional<ForcedMove>& forced) {
  const Cells cells = cells_of(costs, most);
  if (cells.room < 0) return std::nullopt;
  const auto width = static_cast<std::size_t>(cells.room) + 1;
  constexpr double kNever = std::numeric_limits<double>::infinity();
  std::vector<double> best(width, kNever);  // the lowest loss of the layers so far that takes exactly so many cells
  best[0] = 0;
  std::vector<std::vector<uint8_t>> taken;  // [layer][cells]
  for (std::size_t layer = 0; layer < losses.size(); ++layer) {
    std::vector<double> next(width, kNever);
    std::vector<uint8_t>& move_at = taken.emplace_back(width, uint8_t{0});
    for (std::size_t move = 0; move < losses[layer].size(); ++move) {
      if (forced && forced->layer == layer && forced->move != move) continue;
      const double loss = std::max(losses[layer][move], 0.0);
      const auto cost = static_cast<std::size_t>(cells.cost[layer][move]);
      for (std::size_t at = cost; at < width; ++at) {
        if (best[at - cost] + loss >= next[at]) continue;
        next[at] = best[at - cost] + loss;
        move_at[at] = static_cast<uint8_t>(move);
      }
    }
    best = std::move(next);
  }
  auto at = static_cast<std::size_t>(std::min_element(best.begin(), best.end()) - best.begin());  // the first: cheapest
  if (best[at] == kNever) return std::nullopt;
  plan::Combination combination(losses.size());
  for (std::size_t layer = losses.size(); layer-- > 0;) {
    combination[layer] = taken[layer][at];
    at -= static_cast<std::size_t>(cells.cost[layer][combination[layer]]);
  }
  return combination;
}

}  // namespace lithe::tune
