#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ops/attend.h"

namespace lithe::nn {

using at::Tensor;

/// What one layer remembers of one sequence: the keys and values of the rows that it caches, with their original
/// positions, and what a PIA froze after the prompt. Layers of one sequence may hold different numbers of rows.
class LayerState {
 public:
  int64_t length() const { return static_cast<int64_t>(positions_.size()); }
  const std::vector<int64_t>& positions() const { return positions_; }
  int64_t bytes() const;  ///< Of the rows held, keys and values.

  /// Room for this many rows in all; more rows still fit, at the price of a copy.
  void reserve(int64_t rows) { reserve_rows_ = rows; }

  /// Adds rows.  keys, values: [rows, kv_heads, head_dim]; positions ascend and lie behind those held.
  void append(const Tensor& keys, const Tensor& values, std::span<const int64_t> positions);

  /// The rows held.  keys, values: [length, kv_heads, head_dim]
  ops::KeyValueSpan span() const;

  /// Forgets rows from `length` on: a cached prefix is what remains.
  void truncate(int64_t length);

  /// What adapters froze after the prompt, a slot for each place of a layer where one can stand.
  std::optional<Tensor> pia_mean;           ///< [rank] mean of A x + a over the prompt rows
  std::optional<Tensor> pia_gate;           ///< [2]
  std::optional<Tensor> attention_gate;     ///< [2] of the adapter before an attention
  std::optional<Tensor> feed_forward_gate;  ///< [2] of the adapter before the feed-forward network

 private:
  Tensor keys_, values_;  // [capacity, kv_heads, head_dim]; undefined until the first row
  std::vector<int64_t> positions_;
  int64_t reserve_rows_ = 0;
};

}  // namespace lithe::nn
