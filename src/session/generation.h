#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/model.h"
#include "nn/layer_state.h"
#include "plan/plan.h"

namespace lithe::session {

using at::Tensor;

/// One sequence under one plan: prefill once, then a row at a time. Knows nothing of text.
class Generation {
 public:
  Generation(const models::Model& model, const plan::Plan& plan);

  /// x: [rows, hidden], a whole prompt -> [rows alive, hidden] after the last block.
  Tensor prefill(const Tensor& x, const std::vector<routing::RowKind>& kinds, const routing::Observer& observer = {});
  /// Runs one token -> [1, hidden] after the last block.
  Tensor step(int64_t id);

  /// Room for this many more rows in every layer's cache.
  void reserve(int64_t rows);
  /// Forgets all rows behind what the prefill left: for timing decode again.
  void rewind();

  int64_t next_position() const { return position_; }
  std::vector<int64_t> rows_held() const;
  int64_t bytes_held() const;

 private:
  const models::Model* model_;
  const plan::Plan* plan_;
  std::vector<nn::LayerState> states_;
  std::vector<int64_t> prompt_rows_;  // held after prefill, per layer
  int64_t position_ = 0, prompt_length_ = 0;
};

/// The rows of a batch that a layer ran in full, as original positions: those that ran the feed-forward network.
std::vector<int64_t> positions_run(const routing::LayerReport& report);

}  // namespace lithe::session
