#include "plan/builtin.h"

#include <algorithm>

#include "plan/builtin_table.h"
#include "plan/parse.h"

namespace lithe::plan {

std::optional<std::string> builtin_text(const std::string& name) {
  for (const BuiltinPlan& plan : kBuiltinPlans) {
    if (name == plan.name) return plan.json;
  }
  return std::nullopt;
}

std::vector<std::string> builtin_plan_names() {
  std::vector<std::string> names;
  for (const BuiltinPlan& plan : kBuiltinPlans) names.emplace_back(plan.name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace lithe::plan
