#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ops/key_values.h"

namespace lithe::nn {

using at::Tensor;

/// What one layer keeps of one sequence: the keys and values of the cached rows (the KV cache), with their original
/// positions, and what a PIA froze after the prompt. Layers of one sequence may hold different numbers of rows.
/// Keys and values lie in reference-counted blocks. A copy of a state shares its blocks; a shared block is copied
/// before rows are added to it.
class LayerState {
 public:
  LayerState() = default;
  /// in_one_block: all rows lie in one block, as attention on a GPU reads them (ops::BlockedRows).
  explicit LayerState(ops::KeyValueKind kind, bool in_one_block = false) : kind_(kind), in_one_block_(in_one_block) {}

  int64_t length() const { return static_cast<int64_t>(positions_.size()); }
  const std::vector<int64_t>& positions() const { return positions_; }
  int64_t bytes() const;         ///< Of the rows held, keys and values.
  int64_t fitted_bytes() const;  ///< Of the blocks that they need, if no other state shares them.

  /// Allocates room for this many rows in all, at once or, if the state is empty, with its first row. Blocks of more
  /// rows are allocated one by one.
  void reserve(int64_t rows);

  /// Adds rows.  keys, values: [rows, kv_heads, head_dim]; positions ascend and are larger than those held.
  void append(const Tensor& keys, const Tensor& values, std::span<const int64_t> positions);

  /// The first `count` rows, valid until rows are added or dropped.
  ops::BlockedRows rows(int64_t count) const;

  /// Drops the rows from `length` on, and the blocks that hold nothing then and are not reserved.
  void truncate(int64_t length);

  /// Moves rows that lie in one block to one which has room for no others. Blocks of which there are more are small.
  void fit();

  /// What adapters froze after the prompt: one slot for each place in a layer that can have an adapter.
  std::optional<Tensor> pia_mean;           ///< [rank] mean of A x + a over the prompt rows
  std::optional<Tensor> pia_gate;           ///< [2]
  std::optional<Tensor> attention_gate;     ///< [2] of the adapter before an attention
  std::optional<Tensor> feed_forward_gate;  ///< [2] of the adapter before the feed-forward network

 private:
  int64_t row_bytes() const;
  int64_t capacity() const;
  size_t blocks_of(int64_t rows) const;
  void make_room(int64_t rows);
  void allocate(int64_t rows, const Tensor& like);
  const Tensor& writable_block(size_t block, int64_t rows);

  ops::KeyValueKind kind_ = ops::KeyValueKind::float32;
  bool in_one_block_ = false;
  std::vector<Tensor> blocks_;  // those after the last row are reserved
  std::vector<int64_t> positions_;
  int64_t reserved_rows_ = 0;
};

}  // namespace lithe::nn
