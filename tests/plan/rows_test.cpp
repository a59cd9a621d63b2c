#include "plan/rows.h"

#include <gtest/gtest.h>

namespace lithe::plan {
namespace {

TEST(Rows, GroupsAreUnionsOfKinds) {
  const auto held = [](Group group) {
    std::vector<RowKind> kinds;
    for (const RowKind kind : kRowKinds) {
      if (belongs(kind, group)) kinds.push_back(kind);
    }
    return kinds;
  };
  using K = RowKind;
  EXPECT_EQ(held(Group::vision), (std::vector<K>{K::vision, K::vision_high_res}));
  EXPECT_EQ(held(Group::vision_high_res), (std::vector<K>{K::vision_high_res}));
  EXPECT_EQ(held(Group::text), (std::vector<K>{K::text}));
  EXPECT_EQ(held(Group::padding), (std::vector<K>{K::padding}));
  EXPECT_EQ(held(Group::all), (std::vector<K>{K::text, K::vision, K::vision_high_res}));
}

TEST(Rows, TheFirstRuleWhoseGroupHoldsAKindGovernsIt) {
  const LayerPlan layer{.rules = {{.group = Group::vision_high_res, .keep_count = 0},
                                  {.group = Group::all, .keep_count = 0},
                                  {.group = Group::text, .keep_count = 0}}};
  EXPECT_EQ(governing_rule(layer, RowKind::vision_high_res), &layer.rules[0]);
  EXPECT_EQ(governing_rule(layer, RowKind::vision), &layer.rules[1]);
  EXPECT_EQ(governing_rule(layer, RowKind::text), &layer.rules[1]);
  EXPECT_EQ(governing_rule(layer, RowKind::padding), nullptr);
}

TEST(Rows, PaddingOffersNoKeyUnlessARuleSaysSo) {
  EXPECT_EQ(ungoverned(RowKind::padding), (Switches{true, false, false, true}));
  for (const RowKind kind : {RowKind::text, RowKind::vision, RowKind::vision_high_res})
    EXPECT_EQ(ungoverned(kind), Switches{});
}

TEST(Rows, TheModalityRowIsInNoGroupAndIsNotCached) {
  for (const Group group : {Group::text, Group::vision, Group::vision_high_res, Group::padding, Group::all})
    EXPECT_FALSE(belongs(RowKind::modality, group));
  EXPECT_EQ(ungoverned(RowKind::modality), (Switches{true, true, false, true}));
}

}  // namespace
}  // namespace lithe::plan
