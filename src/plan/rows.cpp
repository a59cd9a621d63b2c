#include "plan/rows.h"

#include <algorithm>

namespace lithe::plan {

bool belongs(RowKind kind, Group group) {
  switch (group) {
    case Group::vision:
      return kind == RowKind::vision || kind == RowKind::vision_high_res;
    case Group::vision_high_res:
      return kind == RowKind::vision_high_res;
    case Group::text:
      return kind == RowKind::text;
    case Group::padding:
      return kind == RowKind::padding;
    case Group::all:
      return kind != RowKind::padding && kind != RowKind::modality;
  }
  return false;
}

bool is_vision(Group group) {
  return group == Group::vision || group == Group::vision_high_res;
}

const Rule* governing_rule(const LayerPlan& layer, RowKind kind) {
  const auto holds = [kind](const Rule& rule) { return belongs(kind, rule.group); };
  const auto rule = std::find_if(layer.rules.begin(), layer.rules.end(), holds);
  return rule == layer.rules.end() ? nullptr : &*rule;
}

Switches ungoverned(RowKind kind) {
  const bool real = kind != RowKind::padding;
  return {.query = true, .key_value = real, .cache = real && kind != RowKind::modality, .feed_forward = true};
}

int64_t kept_rows(const Rule& rule, int64_t rows_in_group) {
  if (rule.keep_count) return std::clamp<int64_t>(*rule.keep_count, 0, rows_in_group);
  const float share = static_cast<float>(rule.keep_share.value_or(1.0));
  // The published code multiplies an int32 tensor by a number, so the product is rounded to float32 before it is cut.
  const float product = static_cast<float>(rows_in_group) * share;
  if (!(product > 0)) return 0;
  if (product >= static_cast<float>(rows_in_group)) return rows_in_group;
  return static_cast<int64_t>(product);
}

bool any_rule(const Plan& plan, bool (*holds)(const Rule&)) {
  return std::any_of(plan.layers.begin(), plan.layers.end(), [holds](const LayerPlan& layer) {
    return layer.stream == "decoder" && std::any_of(layer.rules.begin(), layer.rules.end(), holds);
  });
}

bool keeps_all(const Rule& rule) {
  return rule.keep_share && *rule.keep_share == 1.0;
}

bool keeps_none(const Rule& rule) {
  return (rule.keep_share && *rule.keep_share == 0.0) || (rule.keep_count && *rule.keep_count == 0);
}

std::vector<int64_t> spread_rows(int64_t n, int64_t k) {
  std::vector<int64_t> rows(static_cast<std::size_t>(k));
  for (int64_t j = 0; j < k; ++j) rows[static_cast<std::size_t>(j)] = (2 * j + 1) * n / (2 * k);
  return rows;
}

}  // namespace lithe::plan
