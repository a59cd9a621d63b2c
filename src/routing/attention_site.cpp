#include "routing/attention_site.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"

namespace lithe::routing {
namespace {

/// The values of `all` at these rows, on the host.
std::vector<int64_t> at_rows(const std::vector<int64_t>& all, const Rows& rows) {
  if (!rows.index) return all;
  std::vector<int64_t> some;
  some.reserve(rows.list.size());
  for (const int64_t row : rows.list) some.push_back(all[static_cast<size_t>(row)]);
  return some;
}

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
  return {keys, attention.values(input), at_rows(context.positions, rows)};
}

/// Of one sequence's offered rows, those that are cached: indices into the sequence's stretch.
std::optional<std::vector<int64_t>> cached_among(const RowSets& sets, size_t sequence) {
  if (sets.cache.count() == sets.key_value.count()) return std::nullopt;  // all of them, as cache is a subset of key_value
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

void remember(nn::LayerState& state, const ops::KeyValueSpan& fresh, const std::optional<std::vector<int64_t>>& cached) {
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
  const int64_t begin = context.sets.key_value.offsets[sequence], count = context.sets.key_value.offsets[sequence + 1] - begin;
  const auto first = offered.positions.begin() + begin;
  ops::KeyValueSpan fresh{offered.keys.narrow(0, begin, count), offered.values.narrow(0, begin, count), {first, first + count}};
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

/// Spreads what the last query row of a sequence gave to each key over the sequence's positions; rows without a key got nothing.
Tensor scores_of_last(const nn::Attention& attention, const Tensor& queries, int64_t last, const ops::KeyValueSpan& span) {
  const Tensor given = ops::attention_of_row(queries.select(0, last).detach(), span.keys.detach(), attention.scale());
  const Tensor index = at::tensor(at::ArrayRef<int64_t>(span.positions), at::kLong).to(given.device());
  return at::index_copy(at::zeros({span.positions.back() + 1}, given.options()), 0, index, given);
}

}  // namespace

Tensor self_attention(const nn::Attention& attention, const Tensor& x, SiteContext& context) {
  const Rows& rows = context.sets.query;
  const Offered offered = offer(attention, x, context);
  Tensor queries = attention.queries(rows.of(x));
  if (attention.rotary) queries = ops::rotate(queries, rows.index ? context.angles->rows(*rows.index) : *context.angles);
  std::vector<ops::KeyValueSpan> spans;
  for (size_t i = 0; i < context.batch.sequences.size(); ++i) {
    spans.push_back(span_of(offered, context, i));
    const bool watched = !context.watched.empty() && context.watched[i][static_cast<size_t>(context.layer)];
    if (watched && context.batch.sequences[i].prompt && rows.offsets[i + 1] > rows.offsets[i] && !spans.back().positions.empty()) {
      context.scores[i] = scores_of_last(attention, queries, rows.offsets[i + 1] - 1, spans.back());
    }
  }
  const std::vector<int64_t> positions = at_rows(context.positions, rows);
  return attention.merge(ops::attend_packed(queries, rows.offsets, positions, spans,
                                            {.scale = attention.scale(), .causal = attention.causal, .window = attention.window}));
}

Tensor cross_attention(const nn::Attention& attention, const Tensor& x, SiteContext& context) {
  require(context.other.has_value(), Fault::internal, "layer ", context.layer, ": cross-attention without another stream");
  const Rows& rows = context.sets.query;
  const Tensor queries = attention.queries(rows.of(x));
  const Tensor keys = attention.keys(context.other->hidden), values = attention.values(context.other->hidden);
  std::vector<ops::KeyValueSpan> spans;
  for (size_t i = 0; i < context.batch.sequences.size(); ++i) {
    const int64_t begin = context.other->offsets[i], count = context.other->offsets[i + 1] - begin;
    std::vector<int64_t> positions(static_cast<size_t>(count));
    for (int64_t p = 0; p < count; ++p) positions[static_cast<size_t>(p)] = p;
    spans.push_back({keys.narrow(0, begin, count), values.narrow(0, begin, count), std::move(positions)});
  }
  return attention.merge(ops::attend_packed(queries, rows.offsets, at_rows(context.positions, rows), spans,
                                            {.scale = attention.scale(), .causal = false}));
}

}  // namespace lithe::routing
