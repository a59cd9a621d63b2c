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

namespace lithe::ops {
namespace {

/// Queries that share one mask where plain causal attention does not fit: the mask is at most this many rows high.
constexpr int64_t kMaskRows = 256;

/// Keys [begin, end) that one query sees.
struct Visible {
  int64_t begin = 0, end = 0;
};

std::vector<Visible> visible_keys(std::span<const int64_t> queries, const std::vector<int64_t>& keys,
                                  const AttendOptions& options) {
  std::vector<Visible> result(queries.size(), {0, static_cast<int64_t>(keys.size())});
  if (!options.causal && !options.window) return result;
  for (size_t i = 0; i < queries.size(); ++i) {
    if (options.causal) result[i].end = std::upper_bound(keys.begin(), keys.end(), queries[i]) - keys.begin();
    if (options.window) {
      result[i].begin = std::upper_bound(keys.begin(), keys.end(), queries[i] - *options.window) - keys.begin();
      result[i].begin = std::min(result[i].begin, result[i].end);
    }
  }
  return result;
}

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

/// Additive mask over keys [first, last) for some queries: 0 where visible, -inf elsewhere; a blind query gets a row of
/// zeros.
Tensor block_mask(std::span<const Visible> visible, int64_t first, int64_t last, const Tensor& like) {
  Tensor mask = at::full({static_cast<int64_t>(visible.size()), last - first}, -std::numeric_limits<float>::infinity(),
                         at::kFloat);
  float* data = mask.mutable_data_ptr<float>();
  for (size_t i = 0; i < visible.size(); ++i) {
    float* row = data + static_cast<int64_t>(i) * (last - first);
    const bool blind = visible[i].begin == visible[i].end;
    std::fill(row + (blind ? 0 : visible[i].begin - first), row + (blind ? last - first : visible[i].end - first),
              0.0f);
  }
  return mask.to(like.options());
}

/// 1 for queries that see a key, 0 for blind ones.  [rows, 1, 1]
Tensor sighted(std::span<const Visible> visible, const Tensor& like) {
  Tensor flags = at::empty({static_cast<int64_t>(visible.size()), 1, 1}, at::kFloat);
  float* data = flags.mutable_data_ptr<float>();
  for (size_t i = 0; i < visible.size(); ++i) data[i] = visible[i].begin < visible[i].end ? 1.0f : 0.0f;
  return flags.to(like.options());
}

Tensor attend_block(const Tensor& queries, const KeyValueSpan& span, std::span<const Visible> visible, double scale) {
  int64_t first = std::numeric_limits<int64_t>::max(), last = 0;
  bool any_blind = false, all_alike = true;
  for (const Visible& v : visible) {
    if (v.begin == v.end) {
      any_blind = true;
      continue;
    }
    first = std::min(first, v.begin);
    last = std::max(last, v.end);
  }
  if (last == 0) return at::zeros_like(queries);
  for (const Visible& v : visible) all_alike = all_alike && v.begin == first && v.end == last;
  const Tensor keys = span.keys.narrow(0, first, last - first), values = span.values.narrow(0, first, last - first);
  if (all_alike) return attend(queries, keys, values, std::nullopt, false, scale);
  const Tensor out = attend(queries, keys, values, block_mask(visible, first, last, queries), false, scale);
  return any_blind ? out * sighted(visible, queries) : out;
}

Tensor attend_sequence(const Tensor& queries, std::span<const int64_t> positions, const KeyValueSpan& span,
                       const AttendOptions& options) {
  const int64_t rows = queries.size(0);
  if (span.positions.empty()) return at::zeros_like(queries);
  const std::vector<Visible> visible = visible_keys(positions, span.positions, options);
  if (rows > 1 && is_square_causal(visible, static_cast<int64_t>(span.positions.size()))) {
    return attend(queries, span.keys, span.values, std::nullopt, true, options.scale);
  }
  std::vector<Tensor> blocks;
  const int64_t step = options.causal || options.window ? kMaskRows : rows;
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t count = std::min(step, rows - begin);
    const std::span<const Visible> part(visible.data() + begin, static_cast<size_t>(count));
    blocks.push_back(attend_block(queries.narrow(0, begin, count), span, part, options.scale));
  }
  return blocks.size() == 1 ? blocks.front() : at::cat(blocks, 0);
}

}  // namespace

Tensor attend_packed(const Tensor& queries, std::span<const int64_t> offsets, std::span<const int64_t> query_positions,
                     const std::vector<KeyValueSpan>& spans, const AttendOptions& options) {
  require(offsets.size() == spans.size() + 1, Fault::internal, "attend_packed: ", spans.size(), " spans for ",
          offsets.size(), " offsets");
  if (queries.size(0) == 0) return queries;
  std::vector<Tensor> parts;
  for (size_t i = 0; i < spans.size(); ++i) {
    const int64_t begin = offsets[i], count = offsets[i + 1] - begin;
    if (count == 0) continue;
    parts.push_back(attend_sequence(queries.narrow(0, begin, count),
                                    query_positions.subspan(static_cast<size_t>(begin), static_cast<size_t>(count)),
                                    spans[i], options));
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
