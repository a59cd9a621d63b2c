#include "plan/cache_bound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace lithe::plan {
namespace {

/// Rows cached per layer by a choice that keeps the kinds in this order as long as it can.
std::vector<int64_t> cached_when_kept(const Plan& plan, int64_t layers, std::vector<RowKind> alive,
                                      const std::vector<RowKind>& order) {
  std::vector<int64_t> cached;
  std::stable_sort(alive.begin(), alive.end(), [&](RowKind a, RowKind b) {
    return std::find(order.begin(), order.end(), a) < std::find(order.begin(), order.end(), b);
  });
  for (int64_t number = 0; number < layers; ++number) {
    const LayerPlan* entry = plan.find("decoder", number);
    const LayerPlan layer = entry ? *entry : LayerPlan{};
    std::vector<bool> governed(alive.size()), caches(alive.size(), true), stays(alive.size(), true);
    for (const Rule& rule : layer.rules) {
      std::vector<std::size_t> group;
      for (std::size_t i = 0; i < alive.size(); ++i) {
        if (!governed[i] && belongs(alive[i], rule.group)) group.push_back(i);
      }
      const int64_t kept = kept_rows(rule, static_cast<int64_t>(group.size()));
      for (std::size_t i = 0; i < group.size(); ++i) {
        governed[group[i]] = true;
        if (static_cast<int64_t>(i) < kept) continue;
        caches[group[i]] = rule.others.cache;
        stays[group[i]] = rule.others_return;
      }
    }
    cached.push_back(layer.self_attention ? std::count(caches.begin(), caches.end(), true) : 0);
    std::vector<RowKind> next;
    for (std::size_t i = 0; i < alive.size(); ++i) {
      if (stays[i]) next.push_back(alive[i]);
    }
    alive = std::move(next);
  }
  return cached;
}

// A choice among all vision rows may leave any mix of them for the layers after.
TEST(CacheBound, HoldsForAnyChoice) {
  const RowKind text = RowKind::text, low = RowKind::vision, high = RowKind::vision_high_res;
  std::vector<RowKind> kinds(10, text);
  kinds.insert(kinds.end(), 40, low);
  kinds.insert(kinds.end(), 60, high);
  Plan plan{.name = "mixed", .layers = {{.layer = 2}, {.layer = 3}, {.layer = 4}}};
  plan.layers[0].rules = {{.group = Group::vision, .keep_count = 30, .by = "attention", .others_return = false}};
  plan.layers[1].rules = plan.layers[2].rules = {{.group = Group::vision_high_res, .keep_count = 0}};
  const auto most = [&] { return most_rows_cached(plan, 6, kinds); };
  EXPECT_EQ(most(), (std::vector<int64_t>{110, 110, 40, 40, 40, 40}));
  EXPECT_EQ(cached_when_kept(plan, 6, kinds, {low, high, text}), most());

  std::mt19937 draw(3);
  const auto coin = [&] { return draw() % 2 == 0; };
  for (int round = 0; round < 300; ++round) {
    plan.layers.clear();
    for (int64_t layer = 0; layer < 6; ++layer) {
      plan.layers.push_back({.layer = layer, .self_attention = draw() % 5 > 0});
      for (const Group group : {Group::vision_high_res, Group::vision, Group::text, Group::all}) {
        if (coin()) continue;
        const bool returns = coin() || group == Group::text || group == Group::all;
        plan.layers.back().rules.push_back({.group = group,
                                            .keep_share = draw() % 5 / 4.0,
                                            .by = "uniform",
                                            .others = {true, true, coin(), true},
                                            .others_return = returns});
      }
      if (coin()) std::reverse(plan.layers.back().rules.begin(), plan.layers.back().rules.end());
    }
    std::vector<RowKind> order = {text, low, high};
    do {
      const std::vector<int64_t> cached = cached_when_kept(plan, 6, kinds, order), bound = most();
      for (std::size_t layer = 0; layer < 6; ++layer) EXPECT_LE(cached[layer], bound[layer]) << "round " << round;
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST(CacheBound, PaddingIsCachedOnlyIfARuleSaysSo) {
  const std::vector<RowKind> kinds = {RowKind::text, RowKind::padding, RowKind::padding, RowKind::padding};
  EXPECT_EQ(most_rows_cached({}, 1, kinds), (std::vector<int64_t>{1}));
  const Rule rule{.group = Group::padding, .keep_count = 2, .by = "uniform"};
  EXPECT_EQ(most_rows_cached({.layers = {{.layer = 0, .rules = {rule}}}}, 1, kinds), (std::vector<int64_t>{3}));
}

}  // namespace
}  // namespace lithe::plan
