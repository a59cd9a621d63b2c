#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "nn/layer_state.h"
#include "ops/rope.h"
#include "plan/plan.h"
#include "plan/rows.h"

namespace lithe::routing {

using at::Tensor;

using plan::RowKind;

/// One sequence of a packed batch.
struct Sequence {
  const plan::Plan* plan = nullptr;  ///< Null: dense.
  std::span<nn::LayerState> states;  ///< One per layer, or empty when nothing is remembered (training).
  bool prompt = true;  ///< Rules choose among prompt rows only; decoded rows run everything that the plan leaves on.
};

/// Rows of several sequences one after another, without padding between them.
struct Batch {
  std::vector<Sequence> sequences;
  std::vector<int64_t> offsets;           ///< [sequences + 1]
  std::vector<int64_t> positions;         ///< [rows] original positions, ascending within a sequence
  std::vector<RowKind> kinds;             ///< [rows]
  std::optional<ops::RopeAngles> angles;  ///< [rows, head_dim / 2]; absent where nothing rotates

  int64_t rows() const { return static_cast<int64_t>(positions.size()); }
};

/// Some rows of a packed batch: ascending; absent index: every row. Offsets lie on the host.
struct Rows {
  std::optional<Tensor> index;   ///< [count] int64, rows of what the set is relative to
  std::vector<int64_t> list;     ///< The same on the host; empty where index is absent
  std::vector<int64_t> offsets;  ///< [sequences + 1]
  int64_t count() const { return offsets.back(); }
  bool empty() const { return count() == 0; }

  /// x: [all, ...] -> [count, ...]
  Tensor of(const Tensor& x) const { return index ? x.index_select(0, *index) : x; }
};

/// What one layer computes for which rows, as a plan says and as far as the block has a site for it. All but `active`
/// and `survivors` are relative to `active`.
struct RowSets {
  Rows active;       ///< Of the layer's input: rows that run anything.
  Rows query;        ///< Rows that the site `self` updates: its attention, or the PIA that stands there.
  Rows cross_query;  ///< The same of the site `cross`.
  Rows key_value, cache, feed_forward;
  Rows survivors;                                    ///< Of the layer's input: rows that go on to the next layer.
  std::optional<Tensor> weight;                      ///< [rows of the input] w; rows outside gated rules have 1
  std::vector<std::optional<Tensor>> router_weight;  ///< Per sequence: w of the rows that the router scored, in order
};

/// What one layer did, for traces and counters.
struct LayerReport {
  int64_t layer = 0;
  const Batch* batch = nullptr;  ///< As it entered the layer.
  const RowSets* rows = nullptr;
  Tensor hidden;  ///< [survivors, hidden] the layer's output
};
using Observer = std::function<void(const LayerReport&)>;

}  // namespace lithe::routing
