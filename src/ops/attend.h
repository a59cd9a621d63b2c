#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace lithe::ops {

using at::Tensor;

/// The keys and values that the rows of one sequence may attend to, ascending by original position.
struct KeyValueSpan {
  Tensor keys, values;             ///< [length, kv_heads, head_dim]
  std::vector<int64_t> positions;  ///< [length], original positions
};

struct AttendOptions {
  double scale = 1.0;
  bool causal = true;
  std::optional<int64_t> window;  ///< Sliding window: a query at p sees keys at positions > p - window (Mistral).
};

/// Scaled dot-product attention over packed rows. Sequence i owns the query rows offsets[i] .. offsets[i + 1] and
/// spans[i]. Masks go by original position; a query that sees no key gets 0. kv_heads may divide heads (grouped-query
/// attention). queries: [rows, heads, head_dim] -> [rows, heads, head_dim]. This function alone knows how keys and
/// values lie in memory.
Tensor attend_packed(const Tensor& queries, std::span<const int64_t> offsets, std::span<const int64_t> query_positions,
                     const std::vector<KeyValueSpan>& spans, const AttendOptions& options);

/// What one query gives to each key, averaged over heads; nothing else of the attention matrix is formed.
/// query: [heads, head_dim], keys: [length, kv_heads, head_dim] -> [length] float32, sums to 1.
Tensor attention_of_row(const Tensor& query, const Tensor& keys, double scale);

}  // namespace lithe::ops
