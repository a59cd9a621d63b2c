#include "plan/predict.h"

#include <algorithm>
#include <cmath>

#include "plan/block_widths.h"

namespace lithe::plan {
namespace {

class Clock {
 public:
  explicit Clock(const MachineSpeed& speed) : speed_(speed) {}

  /// Seconds of a product of `rows` rows with `weights` weights, which are read once whatever the rows.
  double product(double rows, double weights) const {
    return rows == 0 ? 0 : speed_.call + 2 * rows * weights / flops(rows);
  }

  /// A layer over `rows`, `times` of it side by side (tiles).
  double layer(const RowCount& rows, const BlockWidths& widths, double times) const {
    const double attended = rows.pairs == 0 ? 0 : 4 * times * double(rows.pairs) * widths.query / speed_.attention;
    return projections(rows, widths, times) + attended + elementwise(rows, widths, times);
  }

  /// A layer for one new token after `cached` rows.
  double step(const LayerCost& layer, const BlockWidths& widths) const {
    const RowCount& rows = layer.rows;
    const bool attends = layer.self_attention;
    const double read = double(layer.kv_bytes) / speed_.bytes;
    const RowCount one{.run = 1,
                       .query = attends ? 1 : 0,
                       .key_value = attends ? 1 : 0,
                       .feed_forward = rows.feed_forward > 0 ? 1 : 0};
    return projections(one, widths, 1) + read + elementwise(one, widths, 1);
  }

 private:
  double projections(const RowCount& rows, const BlockWidths& widths, double times) const {
    const double hidden = widths.hidden;
    return 2 * product(times * double(rows.query), hidden * widths.query) +
           2 * product(times * double(rows.key_value), hidden * widths.key_value) +
           widths.feed_forward_products * product(times * double(rows.feed_forward), hidden * widths.inner);
  }

  /// Two norms and two sums over the hidden states, the rotation of queries and keys, and the activation.
  double elementwise(const RowCount& rows, const BlockWidths& widths, double times) const {
    const double hidden = 4 * double(rows.run) * widths.hidden, inner = double(rows.feed_forward) * widths.inner;
    const double rotated = double(rows.query) * widths.query + double(rows.key_value) * widths.key_value;
    return times * (hidden + rotated + inner) / speed_.values;
  }

  /// Between two measured numbers of rows, the time of a product is taken as linear in the rows.
  double flops(double rows) const {
    const auto& points = speed_.products;
    const auto after =
        std::find_if(points.begin(), points.end(), [&](const auto& point) { return point.rows >= rows; });
    if (after == points.end()) return points.back().flops;
    if (after == points.begin()) return after->flops * rows / after->rows;
    const auto before = after - 1;
    const double share = (rows - before->rows) / (after->rows - before->rows);
    const double seconds = (1 - share) * before->rows / before->flops + share * after->rows / after->flops;
    return rows / seconds;
  }

  const MachineSpeed& speed_;
};

double image_seconds(const std::vector<LayerCost>& tower, const CostTable& table, const ModelFacts& model,
                     const Clock& clock) {
  const auto tiles = double(table.prompt.tiles);
  double seconds = 0;
  if (model.tower && tiles > 0) {
    const TowerFacts& facts = *model.tower;
    seconds += clock.product(tiles * double(facts.patches),
                             double(facts.channels * facts.patch * facts.patch) * double(facts.width));
    for (const LayerCost& layer : tower) seconds += clock.layer(layer.rows, tower_widths(facts), tiles);
  }
  const double rows = model.tower ? tiles * double(model.tower->rows_out()) : double(table.prompt.vision_tokens);
  const auto& widths = model.projector.widths;
  for (size_t i = 1; i < widths.size(); ++i) seconds += clock.product(rows, double(widths[i - 1]) * double(widths[i]));
  return seconds;
}

PredictedTimes times_of(const std::vector<LayerCost>& tower, const std::vector<LayerCost>& layers,
                        const CostTable& table, const ModelFacts& model, const MachineSpeed& speed) {
  const Clock clock(speed);
  const BlockWidths widths = decoder_widths(model);
  const double head = clock.product(1, double(model.hidden) * double(model.vocab));
  double prefill = head, decode = head;
  for (const LayerCost& layer : layers) {
    prefill += clock.layer(layer.rows, widths, 1);
    decode += clock.step(layer, widths);
  }
  constexpr double kMs = 1e3;
  return {kMs * image_seconds(tower, table, model, clock), kMs * prefill, kMs * decode};
}

}  // namespace

PredictedTimes predicted(const CostTable& table, const ModelFacts& model, const MachineSpeed& speed) {
  return times_of(table.tower, table.layers, table, model, speed);
}

PredictedTimes predicted_dense(const CostTable& table, const ModelFacts& model, const MachineSpeed& speed) {
  return times_of(table.dense_tower, table.dense_layers, table, model, speed);
}

}  // namespace lithe::plan
