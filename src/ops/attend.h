#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ops/key_values.h"
#include "ops/visible.h"

namespace lithe::ops {

using at::Tensor;

struct AttendOptions {
  double scale = 1.0;
  bool causal = true;
  std::optional<int64_t> window;  ///< Sliding window: a query at p sees keys at positions > p - window (Mistral).
};

/// Queries of several sequences: sequence i has the rows offsets[i] .. offsets[i + 1].
struct PackedQueries {
  Tensor rows;                         ///< [rows, heads, head_dim]
  std::span<const int64_t> offsets;    ///< [sequences + 1]
  std::span<const int64_t> positions;  ///< [rows], original positions
};

/// What each query sees of the view's keys. Masks go by original position.
std::vector<Visible> visible_keys(std::span<const int64_t> queries, const KeyValueView& view,
                                  const AttendOptions& options);

/// Scaled dot-product attention of each sequence's queries over its keys, views[i]. Masks go by original position; a
/// query that sees no key gets 0. kv_heads may divide heads (grouped-query attention).  -> [rows, heads, head_dim]
Tensor attend_packed(const PackedQueries& queries, const std::vector<KeyValueView>& views,
                     const AttendOptions& options);

/// The attention weights of one query, averaged over heads; the rest of the attention matrix is not computed.
/// query: [heads, head_dim], keys: [length, kv_heads, head_dim] -> [length] float32, sums to 1.
Tensor attention_of_row(const Tensor& query, const Tensor& keys, double scale);

}  // namespace lithe::ops
