#include "plan/cache_bound.h"

#include <algorithm>
#include <array>

namespace lithe::plan {
namespace {

using Counts = std::array<int64_t, kRowKinds.size()>;  // of rows, by kind

int64_t& of(Counts& counts, RowKind kind) {
  return counts[static_cast<std::size_t>(kind)];
}
int64_t of(const Counts& counts, RowKind kind) {
  return counts[static_cast<std::size_t>(kind)];
}

/// What may be alive at most: of each kind, and of both kinds of vision rows together.
struct Alive {
  Counts each{};
  int64_t vision = 0;
};

/// Which rows pass besides the kept ones: rows that a rule did not keep, and rows that no rule governs.
struct Gateway {
  bool (*lets_others)(const Rule&);
  bool (*lets_ungoverned)(RowKind);
};
constexpr Gateway kIntoCache = {[](const Rule& rule) { return rule.others.cache; },
                                [](RowKind kind) { return ungoverned(kind).cache; }};
constexpr Gateway kToNextLayer = {[](const Rule& rule) { return rule.others_return; }, [](RowKind) { return true; }};

/// How many rows pass a layer: those that its rules keep, and the others that the gateway lets through.
int64_t passing(const LayerPlan& layer, const Counts& rows, const Gateway& gateway) {
  int64_t sum = 0;
  for (const Rule& rule : layer.rules) {
    int64_t group = 0;
    for (const RowKind kind : kRowKinds) group += governing_rule(layer, kind) == &rule ? of(rows, kind) : 0;
    sum += gateway.lets_others(rule) ? group : kept_rows(rule, group);
  }
  for (const RowKind kind : kRowKinds) {
    if (!governing_rule(layer, kind) && gateway.lets_ungoverned(kind)) sum += of(rows, kind);
  }
  return sum;
}

/// The most that pass. More rows let more pass, so only full mixes of the two kinds of vision rows count.
int64_t most_passing(const LayerPlan& layer, const Alive& alive, const Gateway& gateway) {
  const int64_t low = of(alive.each, RowKind::vision), high = of(alive.each, RowKind::vision_high_res);
  Counts mix = alive.each;
  int64_t most = 0;
  for (int64_t n = std::max<int64_t>(0, alive.vision - high); n <= std::min(low, alive.vision); ++n) {
    of(mix, RowKind::vision) = n;
    of(mix, RowKind::vision_high_res) = std::min(high, alive.vision - n);
    most = std::max(most, passing(layer, mix, gateway));
  }
  return most;
}

/// What may be alive after the layer; only vision rows can be dropped.
Alive after(const LayerPlan& layer, const Alive& alive) {
  Alive next = alive, vision_only{{}, alive.vision};
  const bool share_a_rule = governing_rule(layer, RowKind::vision) == governing_rule(layer, RowKind::vision_high_res);
  for (const RowKind kind : {RowKind::vision, RowKind::vision_high_res}) {
    of(vision_only.each, kind) = of(alive.each, kind);
    const Rule* rule = governing_rule(layer, kind);
    if (!rule || rule->others_return) continue;
    const int64_t group = share_a_rule ? alive.vision : of(alive.each, kind);
    of(next.each, kind) = std::min(of(alive.each, kind), kept_rows(*rule, group));
  }
  next.vision = most_passing(layer, vision_only, kToNextLayer);
  return next;
}

}  // namespace

std::vector<int64_t> most_rows_cached(const Plan& plan, int64_t layers, std::span<const RowKind> kinds) {
  Alive alive;
  for (const RowKind kind : kinds) ++of(alive.each, kind);
  alive.vision = of(alive.each, RowKind::vision) + of(alive.each, RowKind::vision_high_res);
  std::vector<int64_t> most;
  const LayerPlan dense;
  for (int64_t number = 0; number < layers; ++number) {
    const LayerPlan* entry = plan.find("decoder", number);
    const LayerPlan& layer = entry ? *entry : dense;
    most.push_back(layer.self_attention ? most_passing(layer, alive, kIntoCache) : 0);
    alive = after(layer, alive);
  }
  return most;
}

}  // namespace lithe::plan
