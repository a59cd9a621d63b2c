#include "routing/attention_site.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <deque>
#include <numeric>

#include "base/error.h"
#include "ops/attend.h"
#include "routing/index_tensor.h"
#include "routing/record_attention.h"

namespace lithe::routing {
namespace {

/// Keys, values and positions of rows that offer them in this pass.
struct Offered {
  Tensor keys, values;             // [key/value rows, kv_heads, head_dim]
  std::vector<int64_t> positions;  // [key/value rows]

  ops::FreshRows rows() const { return {keys, values, positions}; }
};

/// As the rows of an attention are multiplied: in bfloat16 if training asks for it. What is cached stays as it is.
Tensor multiplied(const nn::Attention& attention, const Tensor& x, const SiteContext& context) {
  const auto caches = [](const Sequence& sequence) { return !sequence.states.empty(); };
  const std::vector<Sequence>& sequences = context.batch.sequences;
  const bool rounds = attention.in_bfloat16 && std::none_of(sequences.begin(), sequences.end(), caches);
  return rounds ? x.to(at::kBFloat16) : x;
}

/// What the rows of an attention are multiplied to.
struct Projected {
  Tensor queries;  // [query rows, heads, head_dim]
  Offered offered;
};

bool has_lora(const Batch& batch) {
  return std::any_of(batch.sequences.begin(), batch.sequences.end(),
                     [](const Sequence& sequence) { return sequence.lora != nullptr; });
}

/// If every row asks and offers, by one product.
Projected project_together(const nn::Attention& attention, const Tensor& x, const SiteContext& context) {
  const int64_t turned = attention.heads + attention.kv_heads, width = attention.head_dim;
  const Tensor all = (*attention.joined)(x).view({x.size(0), turned + attention.kv_heads, width});
  const Tensor both = rotated(attention, all.narrow(1, 0, turned), context.sets.query, context);
  return {both.narrow(1, 0, attention.heads),
          {both.narrow(1, attention.heads, attention.kv_heads), all.narrow(1, turned, attention.kv_heads),
           context.positions}};
}

Projected project(const nn::Attention& attention, const Tensor& x, const SiteContext& context) {
  const Rows &asking = context.sets.query, &offering = context.sets.key_value;
  if (attention.joined && !asking.index && !offering.index && !has_lora(context.batch))
    return project_together(attention, x, context);
  const HeldNotes asking_notes = context.notes_of(asking), notes = context.notes_of(offering);
  const Tensor input = offering.of(x);
  Offered offered{multiplied(attention, rotated(attention, attention.keys(input, notes), offering, context), context),
                  multiplied(attention, attention.values(input, notes), context), offering.of(context.positions)};
  const Tensor queries = rotated(attention, attention.queries(asking.of(x), asking_notes), asking, context);
  return {multiplied(attention, queries, context), std::move(offered)};
}

/// Of one sequence's offered rows from `first` on, those that are cached: indices into these rows. Absent: all of them.
std::optional<std::vector<int64_t>> cached_among(const RowSets& sets, size_t sequence, int64_t first) {
  const int64_t cached = sets.cache.offsets[sequence + 1] - sets.cache.offsets[sequence];
  if (cached == sets.key_value.offsets[sequence + 1] - first) return std::nullopt;  // cache is a subset of key_value
  std::vector<int64_t> indices;
  int64_t c = sets.cache.offsets[sequence];
  for (int64_t i = first; i < sets.key_value.offsets[sequence + 1]; ++i) {
    const int64_t row = sets.key_value.index ? sets.key_value.list[static_cast<size_t>(i)] : i;
    if (c < sets.cache.offsets[sequence + 1] && sets.cache.list[static_cast<size_t>(c)] == row) {
      indices.push_back(i - first);
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

/// Whether a sequence's first row in a set, which is relative to the active rows, sees only itself and is seen by no
/// other: LaVIN's modality row.
bool begins_alone(const Rows& rows, const SiteContext& context, size_t sequence) {
  const int64_t begin = rows.offsets[sequence];
  if (begin == rows.offsets[sequence + 1]) return false;
  const int64_t active = rows.index ? rows.list[static_cast<size_t>(begin)] : begin;
  const Rows& all = context.sets.active;
  const int64_t row = all.index ? all.list[static_cast<size_t>(active)] : active;
  return context.batch.kinds[static_cast<size_t>(row)] == RowKind::modality;
}

bool learns(const ops::FreshRows& fresh) {
  return at::GradMode::is_enabled() && (fresh.keys.requires_grad() || fresh.values.requires_grad());
}

Offered joined(const ops::FreshRows& first, const ops::FreshRows& second) {
  std::vector<int64_t> positions(first.positions.begin(), first.positions.end());
  positions.insert(positions.end(), second.positions.begin(), second.positions.end());
  return {at::cat({first.keys, second.keys}), at::cat({first.values, second.values}), std::move(positions)};
}

/// What the queries of a pass see: those of the prompt what is offered, those of the answer what is cached.
class Views {
 public:
  Views(const Offered& offered, SiteContext& context)
      : cut_(ops::cut_rows(offered.rows(), context.sets.key_value.offsets)), context_(context) {}

  /// Adds one sequence, and caches what the plan says. If every row is cached, all are read as the cache stores them,
  /// so a prompt in one pass equals a prompt in several. `answer`: its first query row that is not the prompt's.
  void add(size_t sequence, int64_t answer) {
    const int64_t end = context_.sets.query.offsets[sequence + 1];
    if (begins_alone(context_.sets.query, context_, sequence)) {
      add(context_.sets.query.offsets[sequence] + 1, {{}, cut_[sequence].some(0, 1)}, false);
    }
    const SequenceRows rows = with_prefix(sequence, rows_of(sequence));
    const std::span<nn::LayerState> states = context_.batch.sequences[sequence].states;
    if (states.empty()) return add(rows, {}, answer, end);
    nn::LayerState& state = states[static_cast<size_t>(context_.layer)];
    const int64_t held = state.length();
    state.append(rows.cached.keys, rows.cached.values, rows.cached.positions);
    if (rows.all_cached && !learns(rows.offered)) return add(end, {state.rows(state.length()), {}});
    add(rows, state.rows(held), answer, end);
  }

  const ops::KeyValueView& last_of_prompt() const { return views_[last_of_prompt_]; }
  const std::vector<ops::KeyValueView>& views() const { return views_; }
  const std::vector<int64_t>& offsets() const { return offsets_; }  ///< Of the queries, one part per view.

 private:
  struct SequenceRows {
    ops::FreshRows offered, cached;
    bool all_cached = true;
  };

  SequenceRows rows_of(size_t sequence) {
    const Rows& offering = context_.sets.key_value;
    const ops::FreshRows& all = cut_[sequence];
    const int64_t alone = begins_alone(offering, context_, sequence) ? 1 : 0,
                  first = offering.offsets[sequence] + alone;
    const ops::FreshRows fresh = alone > 0 ? all.some(alone, all.rows() - alone) : all;
    const std::optional<std::vector<int64_t>> cached = cached_among(context_.sets, sequence, first);
    return {fresh, cached ? keep(some_of(fresh, *cached)) : fresh, !cached};
  }

  /// With what the sequence before it in the same text offers.
  SequenceRows with_prefix(size_t sequence, const SequenceRows& own) {
    const std::optional<size_t> after = context_.batch.sequences[sequence].after;
    if (!after) return own;
    const SequenceRows prefix = rows_of(*after);
    const ops::FreshRows offered = keep(joined(prefix.offered, own.offered));
    const bool all = prefix.all_cached && own.all_cached;
    return {offered, all ? offered : keep(joined(prefix.cached, own.cached)), all};
  }

  void add(const SequenceRows& rows, const ops::BlockedRows& held, int64_t answer, int64_t end) {
    if (rows.all_cached) return add(end, {held, rows.offered});
    add(answer, {held, rows.offered});
    if (answer < end) add(end, {held, rows.cached}, false);
  }

  void add(int64_t end, ops::KeyValueView view, bool of_prompt = true) {
    if (of_prompt) last_of_prompt_ = views_.size();
    offsets_.push_back(end);
    views_.push_back(std::move(view));
  }

  ops::FreshRows keep(Offered rows) { return kept_.emplace_back(std::move(rows)).rows(); }

  std::vector<ops::FreshRows> cut_;  // what each sequence offers
  SiteContext& context_;
  std::vector<ops::KeyValueView> views_;
  std::vector<int64_t> offsets_{0};
  std::deque<Offered> kept_;  // what some views show
  size_t last_of_prompt_ = 0;
};

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

Tensor self_attention(const nn::Attention& attention, const Tensor& normed, SiteContext& context) {
  const Rows& rows = context.sets.query;
  const Tensor x = attention.query.weight.input(normed);
  const auto [queries, offered] = project(attention, x, context);
  const std::vector<int64_t> positions = rows.of(context.positions);
  Views views(offered, context);
  for (size_t i = 0; i < context.batch.sequences.size(); ++i) {
    const int64_t answer = rows.offsets[i] + prompt_rows(rows, context, i);
    views.add(i, answer);
    if (context.recorded && !context.sets.watched.empty()) {
      const AttentionPass pass{attention, queries, positions, views.last_of_prompt(), offered.rows()};
      record_attention(pass, context, i, (*context.recorded)[i]);
    }
  }
  const Tensor attended =
      ops::attend_packed({queries, views.offsets(), positions}, views.views(),
                         {.scale = attention.scale(), .causal = attention.causal, .window = attention.window});
  return attention.merge(attended.to(x.scalar_type()), context.notes_of(rows));
}

Tensor cross_attention(const nn::Attention& attention, const Tensor& normed, SiteContext& context) {
  const Rows& rows = context.sets.cross_query;
  const Tensor x = attention.query.weight.input(normed);
  const Tensor queries = attention.queries(rows.of(x));
  const OtherStream real = without_padding(*context.other);
  const Tensor other = attention.key.weight.input(real.hidden);
  Offered offered{attention.keys(other), attention.values(other),
                  std::vector<int64_t>(static_cast<size_t>(real.hidden.size(0)))};
  std::iota(offered.positions.begin(), offered.positions.end(), 0);  // no mask reads them
  std::vector<ops::KeyValueView> views;
  for (ops::FreshRows& rows : ops::cut_rows(offered.rows(), real.offsets)) views.push_back({{}, std::move(rows)});
  const std::vector<int64_t> positions = rows.of(context.positions);
  return attention.merge(
      ops::attend_packed({queries, rows.offsets, positions}, views, {.scale = attention.scale(), .causal = false}));
}

}  // namespace lithe::routing
