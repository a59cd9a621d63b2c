#include "routing/cut_attention.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "ops/attend.h"
#include "routing/index_tensor.h"

namespace lithe::routing {
namespace {

/// The parts of all sequences, numbered one after another, and the part of each active row.
struct Parts {
  int64_t count = 0;
  std::vector<int64_t> of_row;    // [active]
  std::vector<int64_t> first{0};  // [sequences + 1] of each sequence; at last, the count
};

Parts parts_of(const SiteContext& context, size_t cut) {
  const std::vector<int64_t> given = context.sets.active.of(context.batch.cuts[cut]);
  const std::vector<int64_t>& offsets = context.sets.active.offsets;
  Parts parts;
  for (size_t sequence = 0; sequence + 1 < offsets.size(); ++sequence) {
    std::map<int64_t, int64_t> number;
    for (int64_t row = offsets[sequence]; row < offsets[sequence + 1]; ++row) {
      const auto [entry, fresh] = number.try_emplace(given[static_cast<size_t>(row)], parts.count);
      parts.count += fresh;
      parts.of_row.push_back(entry->second);
    }
    parts.first.push_back(parts.count);
  }
  return parts;
}

/// The rows of a set part by part, not ascending then; its offsets are those of the parts.
Rows by_part(const Rows& set, const Parts& parts, const Tensor& x) {
  std::vector<std::vector<int64_t>> rows(static_cast<size_t>(parts.count));
  for (int64_t i = 0; i < set.count(); ++i) {
    const int64_t row = set.index ? set.list[static_cast<size_t>(i)] : i;
    rows[static_cast<size_t>(parts.of_row[static_cast<size_t>(row)])].push_back(row);
  }
  Rows sorted{.offsets = {0}};
  for (const std::vector<int64_t>& part : rows) {
    sorted.list.insert(sorted.list.end(), part.begin(), part.end());
    sorted.offsets.push_back(static_cast<int64_t>(sorted.list.size()));
  }
  if (set.index || !std::is_sorted(sorted.list.begin(), sorted.list.end()))
    sorted.index = index_tensor(sorted.list, x);
  else
    sorted.list.clear();
  return sorted;
}

/// What products are told of rows that lie part by part.
HeldNotes notes_of(const Rows& sorted, const Parts& parts, const SiteContext& context) {
  std::vector<int64_t> offsets;  // of the sequences
  for (const int64_t part : parts.first) offsets.push_back(sorted.offsets[static_cast<size_t>(part)]);
  return {context.draws_of(sorted), lora_rows(context.batch.sequences, offsets)};
}

/// Puts what belongs to the rows of `sorted` in ascending order.
Tensor ascending(const Tensor& values, const Rows& sorted) {
  if (std::is_sorted(sorted.list.begin(), sorted.list.end())) return values;
  std::vector<std::pair<int64_t, int64_t>> places;
  for (size_t i = 0; i < sorted.list.size(); ++i) places.emplace_back(sorted.list[i], static_cast<int64_t>(i));
  std::sort(places.begin(), places.end());
  std::vector<int64_t> from;
  for (const auto& [row, place] : places) from.push_back(place);
  return values.index_select(0, index_tensor(from, values));
}

void check(const SiteContext& context, size_t cut) {
  require(cut < context.batch.cuts.size(), Fault::internal, "layer ", context.layer, " attends within cut ", cut,
          ", but the batch has ", context.batch.cuts.size(), " cuts");
  require(context.sets.watched.empty(), Fault::bad_request, "layer ", context.layer,
          " attends within parts of its rows, so no rule can choose by its attention");
  for (const Sequence& sequence : context.batch.sequences)
    require(sequence.states.empty(), Fault::internal, "layer ", context.layer, " attends within parts and caches");
}

}  // namespace

Tensor cut_attention(const nn::Attention& attention, const Tensor& normed, const SiteContext& context, size_t cut) {
  check(context, cut);
  const Tensor x = attention.query.weight.input(normed);
  const Parts parts = parts_of(context, cut);
  const Rows asking = by_part(context.sets.query, parts, x), offered = by_part(context.sets.key_value, parts, x);
  const HeldNotes asking_notes = notes_of(asking, parts, context), notes = notes_of(offered, parts, context);
  const Tensor queries = rotated(attention, attention.queries(asking.of(x), asking_notes), asking, context);
  const Tensor input = offered.of(x);
  const std::vector<int64_t> key_order = offered.of(context.positions), query_order = asking.of(context.positions);
  const ops::FreshRows fresh{rotated(attention, attention.keys(input, notes), offered, context),
                             attention.values(input, notes), key_order};
  std::vector<ops::KeyValueView> views;
  for (ops::FreshRows& rows : ops::cut_rows(fresh, offered.offsets)) views.push_back({{}, std::move(rows)});
  const Tensor attended =
      ops::attend_packed({queries, asking.offsets, query_order}, views,
                         {.scale = attention.scale(), .causal = attention.causal, .window = attention.window});
  return ascending(attention.merge(attended, asking_notes), asking);
}

}  // namespace lithe::routing
