#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "ops/key_value_kind.h"

namespace lithe::ops {

using at::Tensor;

/// Rows of one sequence in blocks, ascending by position. A block is [kv_heads, 2, kBlockRows * head_dim]: for each
/// head the keys as [head_dim, kBlockRows], then the values as [kBlockRows, head_dim]. So both products of attention
/// are sums over whole rows, and they read memory in order. All blocks but the last are full; the rest of the last one
/// is undefined. Of int8, a block is bytes, [kv_heads, kBlockRows * pair_bytes]: the codes in the same order, then as
/// float32 kBlockRows scales of keys and kBlockRows of values. A key or value of a head is its codes times its scale,
/// which is its largest magnitude / 127.
/// On a GPU a sequence has only one block, [2, capacity, kv_heads, head_dim], which attention reads as it is.
struct BlockedRows {
  std::span<const Tensor> blocks;
  std::span<const int64_t> positions;  ///< [rows], original positions

  int64_t rows() const { return static_cast<int64_t>(positions.size()); }
};

/// Rows of the current pass, as the products give them.
struct FreshRows {
  Tensor keys, values;                 ///< [rows, kv_heads, head_dim]
  std::span<const int64_t> positions;  ///< [rows], original positions

  int64_t rows() const { return static_cast<int64_t>(positions.size()); }
  /// `count` of them, from row `first` on.
  FreshRows some(int64_t first, int64_t count) const;
};

/// The rows of each sequence: sequence i has offsets[i] .. offsets[i + 1]. One node of autograd cuts them all; cut one
/// by one, each sequence would fill a gradient of all rows with zeros.
std::vector<FreshRows> cut_rows(const FreshRows& rows, const std::vector<int64_t>& offsets);

/// The keys and values that the queries of one sequence may attend to, ascending by original position: first rows in
/// blocks, then rows of this pass. Nothing is copied; either part may be empty.
struct KeyValueView {
  BlockedRows held;
  FreshRows fresh;

  int64_t rows() const { return held.rows() + fresh.rows(); }
  int64_t kv_heads() const;
  int64_t position(int64_t row) const {
    return row < held.rows() ? held.positions[static_cast<size_t>(row)]
                             : fresh.positions[static_cast<size_t>(row - held.rows())];
  }
  /// How many of the rows have a position up to this one.
  int64_t rows_up_to(int64_t position) const;
};

/// How a block is stored.
KeyValueKind kind_of(const Tensor& block);

/// The rows that a block has room for.
int64_t capacity_of(const Tensor& block);

/// A block for rows like `keys`, all of them still undefined.  keys: [rows, kv_heads, head_dim]
Tensor empty_block(const Tensor& keys, KeyValueKind kind);
/// The same, the only one of its sequence, for at least `rows`. Not of int8.
Tensor only_block(const Tensor& keys, KeyValueKind kind, int64_t rows);

/// The first `held` rows of an only block in one with room for `rows`.
Tensor wider_block(const Tensor& block, int64_t held, int64_t rows);

/// Writes rows into a block, from its row `first` on.  keys, values: [rows, kv_heads, head_dim]
void store_rows(const Tensor& block, int64_t first, const Tensor& keys, const Tensor& values);

/// All keys, or all values, in the type of `like`: [rows, kv_heads, head_dim]. Gradients reach the fresh rows.
Tensor all_keys(const KeyValueView& view, const Tensor& like);
Tensor all_values(const KeyValueView& view, const Tensor& like);

}  // namespace lithe::ops
