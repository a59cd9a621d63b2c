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

  double scale() const;
  /// x: [rows, hidden] -> [rows, heads, head_dim]
  Tensor queries(const Tensor& x) const { return query(x).view({x.size(0), heads, head_dim}); }
  Tensor keys(const Tensor& x) const { return key(x).view({x.size(0), kv_heads, head_dim}); }
  Tensor values(const Tensor& x) const { return value(x).view({x.size(0), kv_heads, head_dim}); }
  /// attended: [rows, heads, head_dim] -> [rows, hidden]
  Tensor merge(const Tensor& attended) const { return output(attended.reshape({attended.size(0), heads * head_dim})); }
};

}  // namespace lithe::nn
