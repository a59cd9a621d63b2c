#include "session/cache_bound.h"

#include <algorithm>
#include <array>
#include <utility>

namespace lithe::session {
namespace {

using plan::LayerPlan;
using plan::Rule;
using routing::RowKind;

enum : size_t { kText, kVision, kHighRes };
constexpr std::array<RowKind, 3> kKinds = {RowKind::text, RowKind::vision, RowKind::vision_high_res};
using Counts = std::array<int64_t, 3>;  // of rows, by kind

/// What may be alive at most: of each kind, and of both kinds of vision rows together.
struct Alive {
  Counts each{};
  int64_t vision = 0;
};

/// The rows that pass a layer: those that its rules keep, and of the others those whose rule lets them.
template <class LetsOthers>
int64_t passing(const LayerPlan& layer, Counts left, LetsOthers lets_others) {
  int64_t sum = 0;
  for (const Rule& rule : layer.rules) {
    int64_t group = 0;
    for (size_t kind = 0; kind < kKinds.size(); ++kind) {
      if (routing::belongs(kKinds[kind], rule.group)) group += std::exchange(left[kind], 0);
    }
    sum += lets_others(rule) ? group : plan::kept_rows(rule, group);
  }
  return sum + left[kText] + left[kVision] + left[kHighRes];
}

/// The most that pass. More rows let more pass, so only full mixes of the two kinds of vision rows count.
template <class LetsOthers>
int64_t most_passing(const LayerPlan& layer, const Alive& alive, LetsOthers lets_others) {
  const auto& [text, vision, high_res] = alive.each;
  int64_t most = 0;
  for (int64_t low = std::max<int64_t>(0, alive.vision - high_res); low <= std::min(vision, alive.vision); ++low)
    most = std::max(most, passing(layer, {text, low, std::min(high_res, alive.vision - low)}, lets_others));
  return most;
}

/// The rule that governs a kind, if any does.
const Rule* rule_of(const LayerPlan& layer, RowKind kind) {
  const auto holds = [kind](const Rule& rule) { return routing::belongs(kind, rule.group); };
  const auto rule = std::find_if(layer.rules.begin(), layer.rules.end(), holds);
  return rule == layer.rules.end() ? nullptr : &*rule;
}

/// What may be alive behind the layer; text always returns.
Alive behind(const LayerPlan& layer, const Alive& alive) {
  Alive next = alive;
  const bool share_a_rule = rule_of(layer, RowKind::vision) == rule_of(layer, RowKind::vision_high_res);
  for (const size_t kind : {kVision, kHighRes}) {
    const Rule* rule = rule_of(layer, kKinds[kind]);
    if (!rule || rule->others_return) continue;
    const int64_t group = share_a_rule ? alive.vision : alive.each[kind];
    next.each[kind] = std::min(alive.each[kind], plan::kept_rows(*rule, group));
  }
  next.vision = most_passing(layer, {{0, alive.each[kVision], alive.each[kHighRes]}, alive.vision},
                             [](const Rule& rule) { return rule.others_return; });
  return next;
}

}  // namespace

std::vector<int64_t> most_rows_cached(const plan::Plan& plan, int64_t layers, std::span<const RowKind> kinds) {
  Alive alive;
  for (size_t kind = 0; kind < kKinds.size(); ++kind)
    alive.each[kind] = std::count(kinds.begin(), kinds.end(), kKinds[kind]);
  alive.vision = alive.each[kVision] + alive.each[kHighRes];
  std::vector<int64_t> most;
  const LayerPlan dense;
  for (int64_t number = 0; number < layers; ++number) {
    const LayerPlan* entry = plan.find("decoder", number);
    const LayerPlan& layer = entry ? *entry : dense;
    const auto caches = [](const Rule& rule) { return rule.others.cache; };
    most.push_back(layer.self_attention ? most_passing(layer, alive, caches) : 0);
    alive = behind(layer, alive);
  }
  return most;
}

}  // namespace lithe::session
