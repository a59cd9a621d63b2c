#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "models/model.h"
#include "nn/layer_state.h"
#include "plan/plan.h"

namespace lithe::session {

using at::Tensor;

struct PromptRows;

/// One sequence under one plan: a prompt, then one token at a time; in a chat the next prompt follows the rows that are
/// kept. It knows nothing of text.
class Generation {
 public:
  Generation(const models::Model& model, std::shared_ptr<const plan::Plan> plan);

  /// What the vision side says of the rows of the next prompt, those that are held among them (PromptRows).
  void score_pictures(std::shared_ptr<const std::vector<float>> scores) { picture_scores_ = std::move(scores); }
  /// Adds the rows of a prompt, after those that are held, to a batch that is about to run. places: their rotary
  /// places; empty: their order.
  void enter_prompt(routing::Batch& batch, std::span<const routing::RowKind> kinds, const routing::Places& places = {});
  /// Adds the next tokens to a batch that is about to run. Their rotary places come after all those of the prompt.
  void enter_tokens(routing::Batch& batch, int64_t count = 1);

  /// x: [rows, hidden], a prompt after the rows that are held -> [rows alive, hidden] after the last block.
  Tensor prefill(const Tensor& x, std::span<const routing::RowKind> kinds, const routing::Observer& observer = {},
                 const routing::Places& places = {});
  /// The same of a whole prompt with its pictures' scores.
  Tensor prefill(const PromptRows& prompt, const routing::Observer& observer = {});
  /// Runs one token -> [1, hidden] after the last block.
  Tensor step(int64_t id);

  /// Room for this many more rows in every layer's cache.
  void reserve(int64_t rows);
  /// The rotary place of the next token, the same on all axes. Without axes it is its order.
  struct NextPlace {
    size_t axes = 0;
    int64_t next = 0;
  };
  /// Where a sequence stands: rows held per layer, and the position and place of the next row.
  struct Mark {
    std::vector<int64_t> rows;
    int64_t position = 0;
    NextPlace place;
  };
  Mark mark() const { return {rows_held(), position_, place_}; }
  /// Forgets all rows after a mark, if a pass failed or is to be timed again.
  void rewind(const Mark& mark);
  /// Forgets all rows from this position on, in every layer; a prompt comes next, whose places go past those of the
  /// rows that stay. The caller checks that no rule or adapter loses rows that it looks at (plan/reuse.h).
  void keep(int64_t rows);
  /// The first rows as a generation of its own, which shares their blocks. The same holds for the caller as for keep().
  Generation first(int64_t rows) const;
  /// Gives back the room that no row takes. On a GPU that ends the sharing of blocks which have such room.
  void fit();

  const models::Model& model() const { return *model_; }
  const plan::Plan& plan() const { return *plan_; }
  /// What every layer holds, and froze over the prompt.
  const std::vector<nn::LayerState>& states() const { return states_; }
  int64_t next_position() const { return position_; }
  std::vector<int64_t> rows_held() const;
  int64_t bytes_held() const;

 private:
  const models::Model* model_;
  std::shared_ptr<const plan::Plan> plan_;
  std::vector<nn::LayerState> states_;
  std::shared_ptr<const std::vector<float>> picture_scores_;
  int64_t position_ = 0;
  NextPlace place_;
};

/// The rows of a batch that a layer ran in full, as original positions: those that ran the feed-forward network.
std::vector<int64_t> positions_run(const routing::LayerReport& report);
/// The same of one sequence of the batch.
std::vector<int64_t> positions_run(const routing::LayerReport& report, size_t sequence);
/// Original positions of one sequence's rows in a set that is relative to the active rows.
std::vector<int64_t> positions_in(const routing::Rows& set, const routing::LayerReport& report, size_t sequence);

}  // namespace lithe::session
