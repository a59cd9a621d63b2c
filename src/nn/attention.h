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

  double scale() const;
  // draws: of dropout, [rows] or empty
  /// x: [rows, hidden] -> [rows, heads, head_dim]
  Tensor queries(const Tensor& x, RowDraws draws = {}) const {
    return query(x, draws).view({x.size(0), heads, head_dim});
  }
  Tensor keys(const Tensor& x, RowDraws draws = {}) const {
    return key(x, draws).view({x.size(0), kv_heads, head_dim});
  }
  Tensor values(const Tensor& x, RowDraws draws = {}) const {
    return value(x, draws).view({x.size(0), kv_heads, head_dim});
  }
  /// attended: [rows, heads, head_dim] -> [rows, hidden]
  Tensor merge(const Tensor& attended, RowDraws draws = {}) const {
    return output(attended.reshape({attended.size(0), heads * head_dim}), draws);
  }
};

}  // namespace lithe::nn
