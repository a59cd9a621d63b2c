#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "nn/layer_state.h"
#include "nn/linear.h"
#include "ops/rope.h"
#include "plan/plan.h"
#include "plan/rows.h"

namespace lithe::routing {

using at::Tensor;

using plan::RowKind;

/// One sequence of a packed batch.
struct Sequence {
  const plan::Plan* plan = nullptr;  ///< Null: dense.
  std::span<nn::LayerState> states;  ///< One per layer, or empty if nothing is cached (training).
  /// Rows whose order is below this are the prompt. Rules choose among them only, and adapters take their gate and
  /// their token mean over them. Later rows are decoded, or the answer that training gives: they run everything that
  /// the plan leaves on, and they see of the prompt what is cached. So training an answer equals serving it.
  /// 0: the pass decodes. The default counts every row as prompt, also an answer and padding, as published code of EAS
  /// does (`pia_mean: published`).
  int64_t prompt_end = kEveryRow;
  /// An earlier sequence of the batch whose rows stand before this one's own: in training, several questions about one
  /// picture share its rows. Without states; rules and adapters take both for sequences of their own.
  std::optional<size_t> after;
  /// How much each row of a picture is worth keeping, by order, as the vision side says (models/picture_choice.h); null
  /// if no rule asks. Rows of text have 0.
  std::shared_ptr<const std::vector<float>> picture_scores;
  const nn::Lora* lora = nullptr;  ///< Over its rows alone; null: none.

  static constexpr int64_t kEveryRow = std::numeric_limits<int64_t>::max();
  bool decodes() const { return prompt_end == 0; }
};

/// Which rows are under a LoRA, if the rows of sequence i are [offsets[i], offsets[i + 1]). Neighbours under the same
/// one are joined.
std::vector<nn::LoraRows> lora_rows(std::span<const Sequence> sequences, std::span<const int64_t> offsets);

using ops::Places;

/// Some rows of a packed batch: ascending; without an index: every row. Offsets lie on the host.
struct Rows {
  std::optional<Tensor> index;   ///< [count] int64, rows of what the set is relative to
  std::vector<int64_t> list;     ///< The same on the host; empty if every row
  std::vector<int64_t> offsets;  ///< [sequences + 1]
  std::optional<Tensor> places;  ///< Of active rows, on a GPU: of each row its place in `index`, or -1.  [all] int64
  int64_t count() const { return offsets.back(); }
  bool empty() const { return count() == 0; }

  /// x: [all, ...] -> [count, ...]
  Tensor of(const Tensor& x) const { return index ? x.index_select(0, *index) : x; }
  /// The same of values on the host.
  template <class T>
  std::vector<T> of(const std::vector<T>& all) const {
    if (!index) return all;
    std::vector<T> some;
    some.reserve(list.size());
    for (const int64_t row : list) some.push_back(all[static_cast<size_t>(row)]);
    return some;
  }
};

/// Rows of several sequences one after another, without padding between them. Where a row stands in its sequence and
/// where it stands for rotary embedding are two things: the patches of a picture follow each other in the first and lie
/// on a grid in the second.
struct Batch {
  std::vector<Sequence> sequences;
  std::vector<int64_t> offsets;  ///< [sequences + 1]
  /// [rows] ascending within a sequence, counted over its whole prompt: masks, windows and caches go by this.
  std::vector<int64_t> order;
  std::vector<RowKind> kinds;  ///< [rows]
  Places places;               ///< [axes][rows] rotary places, from the code that builds the prompt; empty: the order
  /// [cuts][rows] other ways to cut the sequences: the part of its sequence that a row belongs to. A site may attend
  /// within the parts of one cut (Site::cut): window attention of a tower.
  std::vector<std::vector<int64_t>> cuts;
  /// [rows] in training, what dropout draws from: another number for each row of a run; empty: nothing is left out
  std::vector<uint64_t> draws;
  std::optional<ops::RopeAngles> angles;  ///< [rows, head_dim / 2]; absent if nothing rotates

  int64_t rows() const { return static_cast<int64_t>(order.size()); }
  /// Adds a sequence whose rows follow each other from `first` on. own: [axes][rows] their rotary places, or empty.
  void add(const Sequence& sequence, std::span<const RowKind> row_kinds, int64_t first = 0, const Places& own = {});
  /// The rotary places of rows [begin, end): their order if none were given.
  Places places_of(int64_t begin, int64_t end) const;
  /// Keeps only these rows.
  void keep(const Rows& rows);
};

/// Rows of one sequence that a gate weighs by the router.
struct GatedRows {
  plan::Gate gate;
  Tensor index;  ///< [group] int64, rows of the layer's input
};

/// What a layer's self-attention leaves of one sequence for those who choose rows later.
struct Watch {
  enum class Row { none, first, last_of_prompt };
  Row row = Row::none;          ///< Whose attention to all rows is wanted.
  bool text = false;            ///< That of the text rows too, their mean.
  bool keys = false;            ///< The keys that the sequence offers.
  std::vector<int64_t> raters;  ///< The order of these text rows, ascending.
  bool any() const { return row != Row::none || text || keys; }
};

/// What one layer computes for which rows, as the plans say and as far as the block has a site for it. All but `active`
/// and `survivors` are relative to `active`. With these a block needs no plan: it may run again as it ran.
struct RowSets {
  Rows active;       ///< Of the layer's input: rows that run anything.
  Rows query;        ///< Rows that the site `self` updates: its attention, or the PIA that stands there.
  Rows cross_query;  ///< The same of the site `cross`.
  Rows key_value, cache, feed_forward;
  Rows self_stand_in, cross_stand_in;  ///< Rows of sequences whose stand-in runs as the branch of these sites.
  std::vector<bool> self_off;          ///< [sequences] the plan has the self-attention off
  Rows survivors;                      ///< Of the layer's input: rows that go on to the next layer.
  std::optional<Tensor> weight;        ///< [rows of the input] w; rows outside gated rules have 1
  std::vector<GatedRows> gated;        ///< The rows that have a weight of their own.
  std::vector<std::optional<Tensor>> router_weight;  ///< Per sequence: w of the rows that the router scored, in order
  std::vector<Watch> watched;  ///< [sequences] what later rules read of this layer; empty: nothing
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
