#include "ops/attend.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "base/error.h"
#include "ops/attend_blocks.h"
#include "ops/attend_node.h"
#include "ops/attend_pieces.h"
#include "ops/own_loops.h"

namespace lithe::ops {
namespace {

/// queries: [rows, heads, d], keys and values: [length, kv_heads, d] -> [rows, heads, d]
Tensor attend(const Tensor& queries, const Tensor& keys, const Tensor& values, const AttendPiece& piece, double scale) {
  const int64_t heads = queries.size(1);
  return rows_of_laid(at::scaled_dot_product_attention(laid_queries(queries, keys.size(1)), laid_keys(keys, heads),
                                                       laid_keys(values, heads), piece.mask, 0.0, piece.causal, scale));
}

/// By LibTorch's operations, which are differentiable and run on any device in any type.
Tensor attend_sequence(const Tensor& queries, std::span<const int64_t> positions, const KeyValueView& view,
                       const AttendOptions& options) {
  if (view.rows() == 0) return at::zeros_like(queries);
  const Tensor keys = all_keys(view, queries), values = all_values(view, queries);
  std::vector<Tensor> parts;
  for (const AttendPiece& piece : pieces_of(positions, view, options, queries)) {
    const Tensor some = queries.narrow(0, piece.begin, piece.count);
    if (piece.length == 0) {
      parts.push_back(at::zeros_like(some));
      continue;
    }
    const Tensor out = attend(some, keys.narrow(0, piece.first, piece.length),
                              values.narrow(0, piece.first, piece.length), piece, options.scale);
    parts.push_back(piece.sighted ? out * *piece.sighted : out);
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts, 0);
}

bool is_float(const Tensor& x) {
  return x.scalar_type() == at::kFloat && !(at::GradMode::is_enabled() && x.requires_grad());
}

bool runs_in_blocks(const Tensor& queries, const std::vector<KeyValueView>& views) {
  return takes_own_loops(queries) && std::all_of(views.begin(), views.end(), [](const KeyValueView& view) {
           return view.fresh.rows() == 0 || (is_float(view.fresh.keys) && is_float(view.fresh.values));
         });
}

}  // namespace

std::vector<Visible> visible_keys(std::span<const int64_t> queries, const KeyValueView& view,
                                  const AttendOptions& options) {
  std::vector<Visible> result(queries.size(), {0, view.rows()});
  for (size_t i = 0; i < queries.size(); ++i) {
    if (options.causal) result[i].end = view.rows_up_to(queries[i]);
    if (options.window) result[i].begin = std::min(view.rows_up_to(queries[i] - *options.window), result[i].end);
  }
  return result;
}

Tensor attend_packed(const PackedQueries& queries, const std::vector<KeyValueView>& views,
                     const AttendOptions& options) {
  require(queries.offsets.size() == views.size() + 1, Fault::internal, "attend_packed: ", views.size(), " views for ",
          queries.offsets.size(), " offsets");
  if (queries.rows.size(0) == 0) return queries.rows;
  if (runs_in_blocks(queries.rows, views)) return attend_blocks(queries, views, options);
  if (takes_attend_node(queries, views)) return attend_node(queries, views, options);
  std::vector<Tensor> parts;
  for (size_t i = 0; i < views.size(); ++i) {
    const int64_t begin = queries.offsets[i], count = queries.offsets[i + 1] - begin;
    if (count == 0) continue;
    const auto first = static_cast<size_t>(begin), rows = static_cast<size_t>(count);
    parts.push_back(attend_sequence(queries.rows.narrow(0, begin, count), queries.positions.subspan(first, rows),
                                    views[i], options));
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts, 0);
}

Tensor attention_of_row(const Tensor& query, const Tensor& keys, double scale) {
  const int64_t heads = query.size(0), width = query.size(1), kv_heads = keys.size(1);
  const Tensor grouped = query.view({kv_heads, heads / kv_heads, width});  // [kv_heads, group, d]
  const Tensor scores =
      at::matmul(grouped, keys.permute({1, 2, 0})).mul(scale).to(at::kFloat);  // [kv_heads, group, length]
  return at::softmax(scores, -1).mean(at::IntArrayRef{0, 1});
}

}  // namespace lithe::ops
