#pragma once

#include <cstdint>
#include <optional>

#include "nn/linear.h"

namespace lithe::nn {

/// The four projections of multi-head attention and its shape. ops::attend_packed computes the attention itself.
struct Attention {
  Linear query, key, value, output;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  bool causal = true;
  bool rotary = true;
  std::optional<int64_t> window;
  bool in_bfloat16 = false;  ///< In training, queries, keys and values are rounded to bfloat16.
  /// On a GPU: query, key and value as one product, of whose weight theirs are views (models/joined_products.h).
  std::optional<Linear> joined;

  double scale() const;
  /// x: [rows, hidden] -> [rows, heads, head_dim]
  Tensor queries(const Tensor& x, const RowNotes& notes = {}) const {
    return query(x, notes).view({x.size(0), heads, head_dim});
  }
  Tensor keys(const Tensor& x, const RowNotes& notes = {}) const {
    return key(x, notes).view({x.size(0), kv_heads, head_dim});
  }
  Tensor values(const Tensor& x, const RowNotes& notes = {}) const {
    return value(x, notes).view({x.size(0), kv_heads, head_dim});
  }
  /// attended: [rows, heads, head_dim] -> [rows, hidden]
  Tensor merge(const Tensor& attended, const RowNotes& notes = {}) const {
    return output(attended.reshape({attended.size(0), heads * head_dim}), notes);
  }
};

}  // namespace lithe::nn
