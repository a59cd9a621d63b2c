#include "routing/attention_site.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <deque>
#include <numeric>

#include "base/error.h"
#include "ops/attend.h"
#include "routing/index_tensor.h"

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
  return {rotated(attention, attention.keys(input), rows, context), attention.values(input),
          rows.of(context.positions)};
}

/// Of one sequence's offered rows, those that are cached: indices into the sequence's stretch. Absent: all of them.
std::optional<std::vector<int64_t>> cached_among(const RowSets& sets, size_t sequence) {
  const auto count = [sequence](const Rows& rows) { return rows.offsets[sequence + 1] - rows.offsets[sequence]; };
  if (count(sets.cache) == count(sets.key_value)) return std::nullopt;  // cache is a subset of key_value
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

Offered some_of(const ops::FreshRows& fresh, const std::vector<int64_t>& indices) {
  std::vector<int64_t> positions;
  for (const int64_t i : indices) positions.push_back(fresh.positions[static_cast<size_t>(i)]);
  const Tensor index = index_tensor(indices, fresh.keys);
  return {fresh.keys.index_select(0, index), fresh.values.index_select(0, index), std::move(positions)};
}

bool learns(const ops::FreshRows& fresh) {
  return at::GradMode::is_enabled() && (fresh.keys.requires_grad() || fresh.values.requires_grad());
}

/// The queries of a pass, cut where what they see changes, and what each part sees.
struct Seen {
  std::vector<int64_t> offsets{0};
  std::vector<ops::KeyValueView> views;
  std::deque<Offered> cached;  // what some views show

  void add(int64_t end, ops::KeyValueView view) {
    offsets.push_back(end);
    views.push_back(std::move(view));
  }
};

/// Adds what one sequence's queries may see: its cache and the rows offered now. Caches what the plan says. If every
/// row is cached, all are read as the cache stores them, so a prompt in one pass equals a prompt in several.
/// `answer`: the first query row that is not the prompt's; it sees cached rows only.
void add_views(const Offered& offered, SiteContext& context, size_t sequence, int64_t answer, Seen& seen) {
  const int64_t begin = context.sets.key_value.offsets[sequence],
                count = context.sets.key_value.offsets[sequence + 1] - begin,
                end = context.sets.query.offsets[sequence + 1];
  const ops::FreshRows fresh{
      offered.keys.narrow(0, begin, count), offered.values.narrow(0, begin, count),
      std::span(offered.positions).subspan(static_cast<size_t>(begin), static_cast<size_t>(count))};
  const std::span<nn::LayerState> states = context.batch.sequences[sequence].states;
  nn::LayerState* state = states.empty() ? nullptr : &states[static_cast<size_t>(context.layer)];
  const int64_t held = state ? state->length() : 0;
  const auto before = [&] { return state ? state->rows(held) : ops::BlockedRows{}; };
  if (const std::optional<std::vector<int64_t>> cached = cached_among(context.sets, sequence)) {
    const Offered& some = seen.cached.emplace_back(some_of(fresh, *cached));
    if (state) state->append(some.keys, some.values, some.positions);
    seen.add(answer, {before(), fresh});
    if (answer < end) seen.add(end, {before(), {some.keys, some.values, some.positions}});
    return;
  }
  if (state) state->append(fresh.keys, fresh.values, fresh.positions);
  if (!state || learns(fresh)) return seen.add(end, {before(), fresh});
  seen.add(end, {state->rows(state->length()), {}});
}

/// One query row and its position.
struct QueryRow {
  Tensor query;  // [heads, head_dim]
  int64_t position = 0;
};

/// The attention weights of one query row, by position in the sequence of `positions` positions; 0 for keys that it
/// does not see.
Tensor scores_of(const nn::Attention& attention, const QueryRow& query_row, const ops::KeyValueView& view,
                 int64_t positions) {
  const int64_t begin = attention.window ? view.rows_up_to(query_row.position - *attention.window) : 0;
  const int64_t end = attention.causal ? view.rows_up_to(query_row.position) : view.rows();
  const Tensor query = query_row.query.detach();
  const Tensor nothing = at::zeros({positions}, query.options().dtype(at::kFloat));
  if (begin >= end) return nothing;
  const Tensor keys = ops::all_keys(view, query).detach().narrow(0, begin, end - begin);
  const Tensor weights = ops::attention_of_row(query, keys, attention.scale());
  std::vector<int64_t> seen;
  for (int64_t row = begin; row < end; ++row) seen.push_back(view.position(row));
  const Tensor index = index_tensor(seen, weights);
  return at::index_copy(nothing, 0, index, weights);
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
  const Tensor index = index_tensor(real, other.hidden);
  return {other.hidden.index_select(0, index), std::move(offsets), {}};
}

}  // namespace

int64_t prompt_rows(const Rows& rows, const SiteContext& context, size_t sequence) {
  const int64_t begin = rows.offsets[sequence], end = rows.offsets[sequence + 1],
                prompt_end = context.batch.sequences[sequence].prompt_end;
  if (prompt_end == Sequence::kEveryRow) return end - begin;
  const auto before = [&](int64_t row) {
    const int64_t active = rows.index ? rows.list[static_cast<size_t>(row)] : row;
    return context.positions[static_cast<size_t>(active)] < prompt_end;
  };
  int64_t row = begin;
  while (row < end && before(row)) ++row;
  return row - begin;
}

Tensor rotated(const nn::Attention& attention, const Tensor& x, const Rows& rows, const SiteContext& context) {
  if (!attention.rotary) return x;
  return ops::rotate(x, rows.index ? context.angles->rows(*rows.index) : *context.angles);
}

Tensor self_attention(const nn::Attention& attention, const Tensor& x, SiteContext& context) {
  const Rows& rows = context.sets.query;
  const Offered offered = offer(attention, x, context);
  const Tensor queries = rotated(attention, attention.queries(rows.of(x)), rows, context);
  const std::vector<int64_t> positions = rows.of(context.positions);
  Seen seen;
  for (size_t i = 0; i < context.batch.sequences.size(); ++i) {
    const int64_t answer = rows.offsets[i] + prompt_rows(rows, context, i);
    const size_t own = seen.views.size();
    add_views(offered, context, i, answer, seen);
    const bool watched = context.scores && !context.sets.watched.empty() && context.sets.watched[i];
    if (!watched || answer == rows.offsets[i]) continue;
    const QueryRow query_row{queries.select(0, answer - 1), positions[static_cast<size_t>(answer - 1)]};
    (*context.scores)[i] = scores_of(attention, query_row, seen.views[own],
                                     context.batch.order[static_cast<size_t>(context.batch.offsets[i + 1] - 1)] + 1);
  }
  return attention.merge(
      ops::attend_packed({queries, seen.offsets, positions}, seen.views,
                         {.scale = attention.scale(), .causal = attention.causal, .window = attention.window}));
}

Tensor cross_attention(const nn::Attention& attention, const Tensor& x, SiteContext& context) {
  const Rows& rows = context.sets.cross_query;
  const Tensor queries = attention.queries(rows.of(x));
  const OtherStream real = without_padding(*context.other);
  const Tensor keys = attention.keys(real.hidden), values = attention.values(real.hidden);
  std::vector<ops::KeyValueView> views;
  std::vector<int64_t> rank(static_cast<size_t>(keys.size(0)));
  std::iota(rank.begin(), rank.end(), 0);
  for (size_t i = 0; i < context.batch.sequences.size(); ++i) {
    const int64_t begin = real.offsets[i], count = real.offsets[i + 1] - begin;
    views.push_back({{},
                     {keys.narrow(0, begin, count), values.narrow(0, begin, count),
                      std::span(rank).first(static_cast<size_t>(count))}});
  }
  const std::vector<int64_t> positions = rows.of(context.positions);
  return attention.merge(
      ops::attend_packed({queries, rows.offsets, positions}, views, {.scale = attention.scale(), .causal = false}));
}

}  // namespace lithe::routing
