#include "routing/attention_site.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/fill.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace lithe::routing {
namespace {

/// Keys, values and positions of the rows that offer them in this pass; lists are relative to the active rows.
struct Offered {
  Tensor keys, values;  // [key/value rows, kv_heads, head_dim]
  std::vector<int64_t> positions;
};

Offered offer(const nn::Attention& attention, const Tensor& x, const SiteContext& context) {
  const Rows& rows = context.sets.key_value;
  const Tensor input = rows.of(x);
  Tensor keys = attention.keys(input);
  if (attention.rotary) keys = ops::rotate(keys, rows.index ? context.angles->rows(*rows.index) : *context.angles);
  return {keys, attention.values(input), rows.of(context.positions)};
}

/// Of one sequence's offered rows, those that are cached: indices into the sequence's stretch.
std::optional<std::vector<int64_t>> cached_among(const RowSets& sets, size_t sequence) {
  if (sets.cache.count() == sets.key_value.count())
    return std::nullopt;  // all of them, as cache is a subset of key_value
  std::vector<int64_t> indices;
  int64_t c = sets.cache.offsets[sequence];
  for (int64_t i = sets.key_value.offsets[sequence]; i < sets.key_value.offsets[sequence + 1]; ++i) {
    const int64_t row = sets.key_value.index ? sets.key_value.list[static_cast<size_t>(i)] : i;
    if (c < sets.cache.offsets[sequence + 1] && sets.cache.list[static_cast<size_t>(c)] == row) {
      indices.push_back(i - sets.key_value.offsets[sequence]);
      ++c;
    }
  }
  return indices;
}

void remember(nn::LayerState& state, const ops::KeyValueSpan& fresh,
              const std::optional<std::vector<int64_t>>& cached) {
  if (!cached) return state.append(fresh.keys, fresh.values, fresh.positions);
  std::vector<int64_t> positions;
  for (const int64_t i : *cached) positions.push_back(fresh.positions[static_cast<size_t>(i)]);
  const Tensor index = at::tensor(at::ArrayRef<int64_t>(*cached), at::kLong).to(fresh.keys.device());
  state.append(fresh.keys.index_select(0, index), fresh.values.index_select(0, index), positions);
}

ops::KeyValueSpan joined(const ops::KeyValueSpan& past, const ops::KeyValueSpan& fresh) {
  std::vector<int64_t> positions = past.positions;
  positions.insert(positions.end(), fresh.positions.begin(), fresh.positions.end());
  return {at::cat({past.keys, fresh.keys}), at::cat({past.values, fresh.values}), std::move(positions)};
}

/// What one sequence's queries may see: its cache and the rows offered now. Caches what the plan says.
ops::KeyValueSpan span_of(const Offered& offered, SiteContext& context, size_t sequence) {
  const int64_t begin = context.sets.key_value.offsets[sequence],
                count = context.sets.key_value.offsets[sequence + 1] - begin;
  const auto first = offered.positions.begin() + begin;
  ops::KeyValueSpan fresh{
      offered.keys.narrow(0, begin, count), offered.values.narrow(0, begin, count), {first, first + count}};
  const std::span<nn::LayerState> states = context.batch.sequences[sequence].states;
  if (states.empty()) return fresh;
  nn::LayerState& state = states[static_cast<size_t>(context.layer)];
  const std::optional<std::vector<int64_t>> cached = cached_among(context.sets, sequence);
  if (state.length() == 0) {
    remember(state, fresh, cached);
    return fresh;
  }
  if (!cached) {
    remember(state, fresh, cached);
    return state.span();
  }
  ops::KeyValueSpan both = joined(state.span(), fresh);
  remember(state, fresh, cached);
  return both;
}

/// One query row and where it stands.
struct Asking {
  Tensor query;  // [heads, head_dim]
  int64_t position = 0;
};

/// Spreads what one query row gave to each key that it sees over the sequence's `positions` positions; the others got
/// nothing.
Tensor scores_of(const nn::Attention& attention, const Asking& asking, const ops::KeyValueSpan& span,
                 int64_t positions) {
  const auto first = span.positions.begin(), last = span.positions.end();
  const auto begin = attention.window ? std::upper_bound(first, last, asking.position - *attention.window) : first;
  const auto end = attention.causal ? std::upper_bound(first, last, asking.position) : last;
  const Tensor nothing = at::zeros({positions}, span.keys.options().dtype(at::kFloat).requires_grad(false));
  if (begin >= end) return nothing;
  const Tensor keys = span.keys.detach().narrow(0, begin - first, end - begin);
  const Tensor given = ops::attention_of_row(asking.query.detach(), keys, attention.scale());
  const Tensor index =
      at::tensor(at::ArrayRef<int64_t>(&*begin, static_cast<size_t>(end - begin)), at::kLong).to(given.device());
  return at::index_copy(nothing, 0, index, given);
}

/// The rows of the other stream that offer keys.
OtherStream without_padding(const OtherStream& other) {
  const auto offers = [](RowKind kind) { return plan::ungoverned(kind).key_value; };
  if (std::all_of(other.kinds.begin(), other.kinds.end(), offers)) return other;
  std::vector<int64_t> real, offsets{0};
  for (size_t i = 0; i + 1 < other.offsets.size(); ++i) {
    for (int64_t row = other.offsets[i]; row < other.offsets[i + 1]; ++row) {
      if (offers(other.kinds[static_cast<size_t>(row)])) real.push_back(row);
    }
    offsets.push_back(static_cast<int64_t>(real.size()));
  }
  const Tensor index = at::tensor(at::ArrayRef<int64_t>(real), at::kLong).to(other.hidden.device());
  return {other.hidden.index_select(0, index), std::move(offsets), {}};
}

bool has_nan(const Tensor& values) {
  return values.numel() > 0 && std::isnan(values.sum().item<double>());
}

/// LibTorch's softmax loses a NaN score among few keys, and the answer would look like one. The rows of a sequence
/// whose queries or new keys hold NaN are made NaN, so that it reaches the logits. attended: [queries, heads, head_dim]
Tensor keep_nan(Tensor attended, const Tensor& queries, const Rows& asking, const Tensor& keys, const Rows& offered) {
  if (at::GradMode::is_enabled() || (!has_nan(queries) && !has_nan(keys))) return attended;
  for (size_t i = 0; i + 1 < asking.offsets.size(); ++i) {
    const int64_t begin = asking.offsets[i], count = asking.offsets[i + 1] - begin;
    const int64_t first = offered.offsets[i], keys_here = offered.offsets[i + 1] - first;
    if (has_nan(queries.narrow(0, begin, count)) || has_nan(keys.narrow(0, first, keys_here)))
      attended.narrow(0, begin, count).fill_(std::numeric_limits<double>::quiet_NaN());
  }
  return attended;
}

}  // namespace

Tensor self_attention(const nn::Attention& attention, const Tensor& x, SiteContext& context) {
  const Rows& rows = context.sets.query;
  const Offered offered = offer(attention, x, context);
  Tensor queries = attention.queries(rows.of(x));
  if (attention.rotary)
    queries = ops::rotate(queries, rows.index ? context.angles->rows(*rows.index) : *context.angles);
  const std::vector<int64_t> positions = rows.of(context.positions);
  std::vector<ops::KeyValueSpan> spans;
  for (size_t i = 0; i < context.batch.sequences.size(); ++i) {
    spans.push_back(span_of(offered, context, i));
    const bool watched =
        context.scores && !context.sets.watched.empty() && context.sets.watched[i] && context.batch.sequences[i].prompt;
    if (!watched || rows.offsets[i + 1] == rows.offsets[i]) continue;
    const int64_t last = rows.offsets[i + 1] - 1;
    const Asking asking{queries.select(0, last), positions[static_cast<size_t>(last)]};
    (*context.scores)[i] = scores_of(attention, asking, spans.back(),
                                     context.batch.order[static_cast<size_t>(context.batch.offsets[i + 1] - 1)] + 1);
  }
  Tensor attended =
      ops::attend_packed(queries, rows.offsets, positions, spans,
                         {.scale = attention.scale(), .causal = attention.causal, .window = attention.window});
  return attention.merge(keep_nan(std::move(attended), queries, rows, offered.keys, context.sets.key_value));
}

Tensor cross_attention(const nn::Attention& attention, const Tensor& x, SiteContext& context) {
  const Rows& rows = context.sets.cross_query;
  const Tensor queries = attention.queries(rows.of(x));
  const OtherStream real = without_padding(*context.other);
  const Tensor keys = attention.keys(real.hidden), values = attention.values(real.hidden);
  std::vector<ops::KeyValueSpan> spans;
  for (size_t i = 0; i < context.batch.sequences.size(); ++i) {
    const int64_t begin = real.offsets[i], count = real.offsets[i + 1] - begin;
    std::vector<int64_t> positions(static_cast<size_t>(count));
    std::iota(positions.begin(), positions.end(), 0);
    spans.push_back({keys.narrow(0, begin, count), values.narrow(0, begin, count), std::move(positions)});
  }
  return attention.merge(ops::attend_packed(queries, rows.offsets, rows.of(context.positions), spans,
                                            {.scale = attention.scale(), .causal = false}));
}

}  // namespace lithe::routing
