#include "ops/attend.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "ops/attend_blocks.h"
#include "ops/own_loops.h"

namespace lithe::ops {
namespace {

/// If plain causal attention does not apply, at most this many queries share one mask.
constexpr int64_t kMaskRows = 256;

/// Grouped-query attention without repeating keys: kv heads become the batch, the heads of a group share them by stride
/// 0. queries: [rows, heads, d], keys and values: [length, kv_heads, d] -> [rows, heads, d].
Tensor attend(const Tensor& queries, const Tensor& keys, const Tensor& values, const std::optional<Tensor>& mask,
              bool causal, double scale) {
  const int64_t rows = queries.size(0), heads = queries.size(1), width = queries.size(2), kv_heads = keys.size(1);
  const int64_t group = heads / kv_heads;
  if (group == 1) {
    const auto lay = [](const Tensor& x) { return x.transpose(0, 1).unsqueeze(0); };
    const Tensor out = at::scaled_dot_product_attention(lay(queries), lay(keys), lay(values), mask, 0.0, causal, scale);
    return out.squeeze(0).transpose(0, 1);
  }
  const auto share = [&](const Tensor& x) {
    return x.transpose(0, 1).unsqueeze(1).expand({kv_heads, group, x.size(0), width});
  };
  const Tensor q = queries.view({rows, kv_heads, group, width}).permute({1, 2, 0, 3});
  const Tensor out = at::scaled_dot_product_attention(q, share(keys), share(values), mask, 0.0, causal, scale);
  return out.permute({2, 0, 1, 3}).reshape({rows, heads, width});
}

bool is_square_causal(const std::vector<Visible>& visible, int64_t length) {
  if (static_cast<int64_t>(visible.size()) != length) return false;
  for (int64_t i = 0; i < length; ++i) {
    if (visible[static_cast<size_t>(i)].begin != 0 || visible[static_cast<size_t>(i)].end != i + 1) return false;
  }
  return true;
}

/// Additive mask over keys [first, last) for some queries: 0 for visible keys, -inf for the others; a blind query gets
/// a row of zeros.
Tensor block_mask(std::span<const Visible> visible, int64_t first, int64_t last, const Tensor& like) {
  Tensor mask = at::full({static_cast<int64_t>(visible.size()), last - first}, -std::numeric_limits<float>::infinity(),
                         at::kFloat);
  float* data = mask.mutable_data_ptr<float>();
  for (size_t i = 0; i < visible.size(); ++i) {
    float* row = data + static_cast<int64_t>(i) * (last - first);
    const bool blind = visible[i].none();
    std::fill(row + (blind ? 0 : visible[i].begin - first), row + (blind ? last - first : visible[i].end - first),
              0.0f);
  }
  return mask.to(like.options());
}

/// 1 for queries that see a key, 0 for blind ones.  [rows, 1, 1]
Tensor sighted(std::span<const Visible> visible, const Tensor& like) {
  Tensor flags = at::empty({static_cast<int64_t>(visible.size()), 1, 1}, at::kFloat);
  float* data = flags.mutable_data_ptr<float>();
  for (size_t i = 0; i < visible.size(); ++i) data[i] = visible[i].none() ? 0.0f : 1.0f;
  return flags.to(like.options());
}

/// Keys and values of one sequence in one piece: [length, kv_heads, head_dim].
struct WholeKeys {
  Tensor keys, values;
};

Tensor attend_some(const Tensor& queries, const WholeKeys& all, std::span<const Visible> visible, double scale) {
  const Visible any = seen_by_any(visible);
  if (any.end == 0) return at::zeros_like(queries);
  const bool all_alike = std::all_of(visible.begin(), visible.end(),
                                     [&](const Visible& v) { return v.begin == any.begin && v.end == any.end; });
  const bool any_blind = std::any_of(visible.begin(), visible.end(), [](const Visible& v) { return v.none(); });
  const Tensor keys = all.keys.narrow(0, any.begin, any.end - any.begin),
               values = all.values.narrow(0, any.begin, any.end - any.begin);
  if (all_alike) return attend(queries, keys, values, std::nullopt, false, scale);
  const Tensor out = attend(queries, keys, values, block_mask(visible, any.begin, any.end, queries), false, scale);
  return any_blind ? out * sighted(visible, queries) : out;
}

/// By LibTorch's operations, which are differentiable and run on any device in any type.
Tensor attend_sequence(const Tensor& queries, std::span<const int64_t> positions, const KeyValueView& view,
                       const AttendOptions& options) {
  const int64_t rows = queries.size(0);
  if (view.rows() == 0) return at::zeros_like(queries);
  const std::vector<Visible> visible = visible_keys(positions, view, options);
  const WholeKeys all{all_keys(view, queries), all_values(view, queries)};
  if (rows > 1 && is_square_causal(visible, view.rows()))
    return attend(queries, all.keys, all.values, std::nullopt, true, options.scale);
  std::vector<Tensor> parts;
  const int64_t step = options.causal || options.window ? kMaskRows : rows;
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t count = std::min(step, rows - begin);
    const std::span<const Visible> part(visible.data() + begin, static_cast<size_t>(count));
    parts.push_back(attend_some(queries.narrow(0, begin, count), all, part, options.scale));
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
