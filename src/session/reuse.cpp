#include "session/reuse.h"

#include <algorithm>
#include <vector>

#include "routing/selector.h"

namespace lithe::session {
namespace {

using plan::LayerPlan;
using plan::Rule;
using routing::RowKind;

constexpr const char* kStream = "decoder";

bool reads_whole_prompt(const routing::Block& block) {
  return std::any_of(block.sites.begin(), block.sites.end(), [](const routing::Site& site) {
    return site.pia || std::holds_alternative<nn::Pia>(site.branch) || (site.adapter && site.adapter->gate);
  });
}

bool keeps_all(const Rule& rule) {
  return rule.keep_share && *rule.keep_share == 1.0;
}

bool keeps_none(const Rule& rule) {
  return (rule.keep_share && *rule.keep_share == 0.0) || (rule.keep_count && *rule.keep_count == 0);
}

/// What a rule does to a row depends on other rows of its group.
bool ties_rows(const Rule& rule) {
  return (!keeps_all(rule) && !keeps_none(rule)) || (rule.gate && rule.gate->norm == plan::WeightNorm::softmax);
}

/// A row of the group runs like any other row, chosen or not.
bool changes_nothing(const Rule& rule) {
  const bool others_run_all = rule.others == plan::Switches{true, true, true, true} && rule.others_return;
  return !rule.gate && (keeps_all(rule) || others_run_all);
}

bool leaves_keys_uncached(const Rule& rule) {
  return !keeps_all(rule) && rule.others.key_value && !rule.others.cache;
}

bool looks_at_prompt(const Rule& rule) {
  const routing::Selector* selector = routing::find_selector(rule.by);
  return !keeps_all(rule) && !keeps_none(rule) && (!selector || selector->scope == routing::Scope::prompt);
}

/// The rows that a rule governs: of its group, and of no earlier rule's of the layer.
class Group {
 public:
  Group(const LayerPlan& layer, size_t rule) : layer_(layer), rule_(rule) {}

  bool holds(RowKind kind) const {
    for (size_t i = 0; i < rule_; ++i) {
      if (routing::belongs(kind, layer_.rules[i].group)) return false;
    }
    return routing::belongs(kind, layer_.rules[rule_].group);
  }

  /// The group's first row among rows [begin, end), or `end`.
  int64_t first(std::span<const RowKind> rows, int64_t begin, int64_t end) const {
    while (begin < end && !holds(rows[static_cast<size_t>(begin)])) ++begin;
    return begin;
  }

 private:
  const LayerPlan& layer_;
  size_t rule_;
};

/// How many of the first `cut` rows one rule lets stay.
int64_t stay_under(const Rule& rule, const Group& group, const Turns& turns, int64_t cut) {
  const auto held = static_cast<int64_t>(turns.held.size()), next = static_cast<int64_t>(turns.prompt.size());
  const int64_t first = group.first(turns.prompt, 0, cut);
  if (looks_at_prompt(rule) || leaves_keys_uncached(rule)) return first;
  const int64_t decoded = group.first(turns.held, std::min(turns.held_prompt, cut), cut);
  if (!ties_rows(rule)) return decoded;
  const bool more = group.first(turns.prompt, cut, next) < next;
  const bool fewer = cut < held && group.first(turns.held, cut, turns.held_prompt) < turns.held_prompt;
  return decoded < cut || more || fewer ? first : cut;
}

/// Whether the last row of the prompt, of this kind, asks in every attention before `layer`. Where it does not, an
/// earlier row is the last to ask, which may be one that stays and is not there to ask again.
bool last_row_asks(const plan::Plan& plan, int64_t layer, RowKind kind) {
  return std::none_of(plan.layers.begin(), plan.layers.end(), [&](const LayerPlan& earlier) {
    if (earlier.stream != kStream || earlier.layer >= layer) return false;
    for (size_t i = 0; i < earlier.rules.size(); ++i) {
      const Rule& rule = earlier.rules[i];
      const bool may_be_silent = !keeps_all(rule) && (!rule.others.query || !rule.others_return);
      if (may_be_silent && Group(earlier, i).holds(kind)) return true;
    }
    return false;
  });
}

}  // namespace

int64_t reusable_rows(const plan::Plan& plan, std::span<const routing::Block> blocks, const Turns& turns) {
  if (std::any_of(blocks.begin(), blocks.end(), reads_whole_prompt)) return 0;
  int64_t cut = std::min(turns.equal, static_cast<int64_t>(turns.prompt.size()) - 1);
  for (int64_t before = -1; before != cut;) {  // a cut for one rule may part the group of another
    before = cut;
    for (const LayerPlan& layer : plan.layers) {
      if (layer.stream != kStream) continue;
      for (size_t i = 0; i < layer.rules.size(); ++i) {
        const Rule& rule = layer.rules[i];
        if (changes_nothing(rule)) continue;
        if (looks_at_prompt(rule) && !last_row_asks(plan, layer.layer, turns.prompt.back())) return 0;
        cut = stay_under(rule, Group(layer, i), turns, cut);
      }
    }
  }
  return cut;
}

}  // namespace lithe::session
