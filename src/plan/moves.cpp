#include "plan/moves.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "plan/rows.h"
#include "plan/validate.h"

namespace lithe::plan {
namespace {

constexpr double kShares[] = {0.5, 0.25, 0};

LayerPlan own_entry(const Plan& base, int64_t layer) {
  const LayerPlan* entry = base.find("decoder", layer);
  return entry ? *entry : LayerPlan{.layer = layer};
}

/// The entry, which keeps this share of the vision tokens: the rules that govern them get the share, and a rule for
/// those that no rule governs, whose others run nothing and return, comes last. Nothing if one rule governs vision and
/// text tokens, since its share is also that of the text.
std::optional<LayerPlan> keeping(const LayerPlan& entry, double share, const std::string& by) {
  LayerPlan changed = entry;
  bool adds_rule = false;
  for (const RowKind kind : {RowKind::vision, RowKind::vision_high_res}) {
    const Rule* const found = governing_rule(entry, kind);
    if (found && found == governing_rule(entry, RowKind::text)) return std::nullopt;
    if (!found) {
      adds_rule = true;
      continue;
    }
    Rule& rule = changed.rules[static_cast<std::size_t>(found - entry.rules.data())];
    rule.keep_share = share;
    rule.keep_count.reset();
  }
  if (adds_rule) changed.rules.push_back({.keep_share = share, .by = by});
  return changed;
}

/// A dense entry in which the rows of a group run only this.
LayerPlan running(int64_t layer, Group group, const Switches& switches) {
  return {.layer = layer, .rules = {{.group = group, .keep_share = 0, .by = "uniform", .others = switches}}};
}

/// The base plan with another layer.
Plan with(const Plan& base, const LayerPlan& entry) {
  Plan plan = base;
  std::erase_if(plan.layers,
                [&](const LayerPlan& one) { return one.stream == entry.stream && one.layer == entry.layer; });
  const auto after = std::find_if(plan.layers.begin(), plan.layers.end(), [&](const LayerPlan& one) {
    return SiteName{one.stream, one.layer} > SiteName{entry.stream, entry.layer};
  });
  plan.layers.insert(after, entry);
  return plan;
}

bool runs(const Plan& base, const ModelFacts& model, const LayerPlan& entry) {
  try {
    validate(with(base, entry), model);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::vector<Move> moves_at(const Plan& base, const ModelFacts& model, const std::string& by, int64_t layer) {
  const LayerPlan own = own_entry(base, layer);
  std::vector<Move> moves{{"as it is", own}};
  const auto add = [&](const std::string& name, const std::optional<LayerPlan>& entry) {
    if (!entry) return;
    const bool is_new =
        std::none_of(moves.begin(), moves.end(), [&](const Move& move) { return move.entry == *entry; });
    if (is_new && runs(base, model, *entry)) moves.push_back({name, *entry});
  };
  for (const double share : kShares) add(concat("vision ", 100 * share, " %"), keeping(own, share, by));
  if (own.rules.empty() && own.self_attention) {
    add("vision without queries", running(layer, Group::vision, {false, true, true, true}));
    add("vision without feed-forward", running(layer, Group::vision, {true, true, true, false}));
    add("vision keys and values only", running(layer, Group::vision, {false, true, true, false}));
    add("feed-forward off", running(layer, Group::all, {true, true, true, false}));
  }
  LayerPlan off = own;
  off.self_attention = false;
  if (own.self_attention && !model.is_fixed("decoder", layer, "self")) {
    add("attention off", off);
    add("attention off, vision 0 %", keeping(off, 0, by));
  }
  return moves;
}

}  // namespace

Moves moves_of(const Plan& base, const ModelFacts& model, const std::string& by) {
  Moves moves;
  for (int64_t layer = 0; layer < model.layers; ++layer) moves.push_back(moves_at(base, model, by, layer));
  return moves;
}

Plan combined(const Plan& base, const Moves& moves, const Combination& combination, std::string name) {
  Plan plan = base;
  for (std::size_t layer = 0; layer < moves.size(); ++layer)
    if (combination[layer] > 0) plan = with(plan, moves[layer][combination[layer]].entry);
  plan.name = std::move(name);
  return plan;
}

Plan evenly_kept(const Plan& base, const ModelFacts& model, const std::string& by, double share) {
  Plan plan = base;
  for (int64_t layer = 0; layer < model.layers; ++layer)
    if (const auto entry = keeping(own_entry(base, layer), share, by)) plan = with(plan, *entry);
  plan.name = "evenly";
  return plan;
}

}  // namespace lithe::plan
