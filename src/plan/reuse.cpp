#include "plan/reuse.h"

#include <algorithm>

namespace lithe::plan {
namespace {

constexpr const char* kStream = "decoder";

/// What a rule does to a row depends on other rows of its group.
bool ties_rows(const Rule& rule) {
  return (!keeps_all(rule) && !keeps_none(rule)) || (rule.gate && rule.gate->norm == WeightNorm::softmax);
}

/// A row of the group runs like any other row, chosen or not.
bool changes_nothing(const Rule& rule) {
  const bool others_run_all = rule.others == Switches{true, true, true, true} && rule.others_return;
  return !rule.gate && (keeps_all(rule) || others_run_all);
}

bool leaves_keys_uncached(const Rule& rule) {
  return !keeps_all(rule) && rule.others.key_value && !rule.others.cache;
}

bool looks_at_prompt(const Rule& rule, const ModelFacts& model) {
  const SelectorFacts* selector = model.find_selector(rule.by);
  return !keeps_all(rule) && !keeps_none(rule) && (!selector || selector->scope == Scope::prompt);
}

/// The rows that a rule of a layer governs.
struct RuledRows {
  const LayerPlan& layer;
  const Rule& rule;

  /// The group's first row among rows [begin, end), or `end`.
  int64_t first(std::span<const RowKind> rows, int64_t begin, int64_t end) const {
    while (begin < end && governing_rule(layer, rows[static_cast<std::size_t>(begin)]) != &rule) ++begin;
    return begin;
  }
};

/// The first row that a rule's choice depends on. The raters of text_attention are found among all vision rows.
int64_t first_read(const RuledRows& ruled, const ModelFacts& model, const Turns& turns, int64_t cut) {
  const int64_t first = ruled.first(turns.prompt, 0, cut);
  const SelectorFacts* selector = model.find_selector(ruled.rule.by);
  if (selector == nullptr || selector->reads != Reads::text_attention) return first;
  const auto is_vision = [](RowKind kind) { return belongs(kind, Group::vision); };
  const auto vision = std::find_if(turns.prompt.begin(), turns.prompt.end(), is_vision);
  return std::min<int64_t>(first, vision - turns.prompt.begin());
}

/// How many of the first `cut` rows one rule lets stay.
int64_t stay_under(const RuledRows& ruled, const ModelFacts& model, const Turns& turns, int64_t cut) {
  const auto held = static_cast<int64_t>(turns.held.size()), next = static_cast<int64_t>(turns.prompt.size());
  const int64_t first = first_read(ruled, model, turns, cut);
  if (looks_at_prompt(ruled.rule, model) || leaves_keys_uncached(ruled.rule)) return first;
  const int64_t decoded = ruled.first(turns.held, std::min(turns.held_prompt, cut), cut);
  if (!ties_rows(ruled.rule)) return decoded;
  const bool more = ruled.first(turns.prompt, cut, next) < next;
  const bool fewer = cut < held && ruled.first(turns.held, cut, turns.held_prompt) < turns.held_prompt;
  return decoded < cut || more || fewer ? first : cut;
}

/// Whether the last row of the prompt, of this kind, forms a query in every attention before `layer`. If it does not,
/// an earlier row is the last to form one, and that row may be one that stays and does not run again.
bool last_row_asks(const Plan& plan, int64_t layer, RowKind kind) {
  return std::none_of(plan.layers.begin(), plan.layers.end(), [&](const LayerPlan& earlier) {
    if (earlier.stream != kStream || earlier.layer >= layer) return false;
    const Rule* rule = governing_rule(earlier, kind);
    return rule && !keeps_all(*rule) && (!rule->others.query || !rule->others_return);
  });
}

}  // namespace

bool leaves_keys_uncached(const Plan& plan) {
  return any_rule(plan, [](const Rule& rule) { return leaves_keys_uncached(rule); });
}

int64_t reusable_rows(const Plan& plan, const ModelFacts& model, const Turns& turns) {
  if (turns.adapters_read_prompt) return 0;
  int64_t cut = std::min(turns.equal, static_cast<int64_t>(turns.prompt.size()) - 1);
  for (int64_t before = -1; before != cut;) {  // a cut for one rule may part the group of another
    before = cut;
    for (const LayerPlan& layer : plan.layers) {
      if (layer.stream != kStream) continue;
      for (const Rule& rule : layer.rules) {
        if (changes_nothing(rule)) continue;
        if (looks_at_prompt(rule, model) && !last_row_asks(plan, layer.layer, turns.prompt.back())) return 0;
        cut = stay_under({layer, rule}, model, turns, cut);
      }
    }
  }
  return cut;
}

}  // namespace lithe::plan
