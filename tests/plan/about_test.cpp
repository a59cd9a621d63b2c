#include "plan/about.h"

#include <gtest/gtest.h>

#include "plan/parse.h"

namespace lithe::plan {
namespace {

TEST(About, HasOneEntryForEachBuiltinPlan) {
  std::vector<std::string> names;
  for (const About& plan : builtin_plans()) names.emplace_back(plan.name);
  EXPECT_EQ(names, builtin_plan_names());
  EXPECT_EQ(about("no-such-plan"), nullptr);
}

// What the table says of routers and exactness is what the plans do.
TEST(About, AgreesWithThePlans) {
  const ModelFacts facts = shape_named("llava-1.5-7b");
  for (const About& entry : builtin_plans()) {
    const Plan plan = load_plan(entry.name, facts);
    bool router = false;
    for (const LayerPlan& layer : plan.layers) {
      for (const Rule& rule : layer.rules) router |= rule.by == "router";
    }
    EXPECT_EQ(entry.router, router) << entry.name;
    EXPECT_EQ(entry.exact, plan.layers.empty()) << entry.name;
    EXPECT_TRUE(entry.trained || !entry.router) << entry.name;
  }
}

}  // namespace
}  // namespace lithe::plan
