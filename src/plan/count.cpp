#include "plan/count.h"

#include <algorithm>

#include <utility>

#include "plan/choosing.h"

namespace lithe::plan {

RowWalk RowWalk::of_prompt(const PromptShape& prompt) {
  std::vector<Row> rows;
  const auto append = [&rows](RowKind kind, int64_t n) {
    rows.resize(rows.size() + static_cast<std::size_t>(n), Row{kind});
  };
  append(RowKind::text, prompt.text_before);
  append(RowKind::vision, prompt.vision_tokens - prompt.high_res_tokens);
  append(RowKind::vision_high_res, prompt.high_res_tokens);
  append(RowKind::text, prompt.text_tokens - prompt.text_before);
  return {std::move(rows), true};
}

RowWalk RowWalk::of_tile(int64_t rows) {
  return {std::vector<Row>(static_cast<std::size_t>(rows), Row{RowKind::vision}), false};
}

void RowWalk::apply(const LayerPlan& layer, const Rule& rule, RowCount& count) {
  std::vector<std::size_t> members;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    Row& row = rows_[i];
    if (governing_rule(layer, row.kind) != &rule) continue;
    members.push_back(i);
    row.kept = false;
    row.leaves = !rule.others_return;
    row.runs = rule.others;
  }
  const auto n = static_cast<int64_t>(members.size());
  for (const int64_t chosen : spread_rows(n, kept_rows(rule, n))) {
    Row& row = rows_[members[static_cast<std::size_t>(chosen)]];
    row.kept = true;
    row.leaves = false;
    row.runs = Switches{};
  }
  count_choosing(rule, {n, kept_rows(rule, n), text_after(members)}, count);
}

/// Text rows after the first of these rows.
int64_t RowWalk::text_after(const std::vector<std::size_t>& members) const {
  if (members.empty()) return 0;
  const auto is_text = [](const Row& row) { return row.kind == RowKind::text; };
  return std::count_if(rows_.begin() + static_cast<std::ptrdiff_t>(members.front()), rows_.end(), is_text);
}

void RowWalk::tally(bool attention, RowCount& count) const {
  for (const Row& row : rows_) {
    const bool vision = belongs(row.kind, Group::vision);
    const bool query = attention && row.runs.query;
    const bool key_value = attention && row.runs.key_value;
    const bool cache = attention && row.runs.cache;
    count.alive += 1;
    count.run += query || key_value || row.runs.feed_forward;
    count.query += query;
    count.key_value += key_value;
    count.cache += cache;
    count.feed_forward += row.runs.feed_forward;
    count.vision += vision;
    count.vision_kept += vision && row.kept;
    count.vision_cache += vision && cache;
    if (query && causal_) count.pairs += count.key_value;  // The keys so far, its own included.
  }
  if (!causal_) count.pairs = count.query * count.key_value;
}

RowCount RowWalk::next(const LayerPlan* entry) {
  RowCount count;
  for (Row& row : rows_) row = Row{.kind = row.kind, .runs = ungoverned(row.kind)};
  if (entry != nullptr) {
    for (const Rule& rule : entry->rules) apply(*entry, rule, count);
  }
  tally(entry == nullptr || entry->self_attention, count);
  std::erase_if(rows_, [](const Row& row) { return row.leaves; });
  return count;
}

}  // namespace lithe::plan
