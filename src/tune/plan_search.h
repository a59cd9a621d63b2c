#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "plan/moves.h"
#include "plan/plan.h"
#include "tune/additive_model.h"

// The search for the plan that loses least under a budget of cost, without tensors. Each move of each layer is tried
// alone; what moves cost and lose is taken to add up; combinations that should be best are tried, and what they really
// lose corrects the losses of their moves.
namespace lithe::tune {

/// What a search asks of whoever holds the model and the samples.
struct BudgetModel {
  std::function<double(const plan::Plan&)> cost;  ///< A share of what the dense model costs.
  std::function<double(const plan::Plan&)> nll;   ///< Of the samples' answers, mean over their tokens.
  /// A plan of about this cost, or less, that treats all layers alike; absent if there is none. May be empty.
  std::function<std::optional<plan::Plan>(double cost_share)> even;
};

struct BudgetTask {
  plan::Plan base;
  plan::Moves moves;
  double budget = 0;  ///< The most that a plan may cost, as a share of dense.
};

/// A plan that was tried.
struct TriedPlan {
  plan::Plan plan;
  double cost_share = 0, nll = 0;
  bool even = false;  ///< BudgetModel::even made it.
};

struct BudgetProgress {
  int64_t tried = 0, expected = 0;  ///< Plans.
  bool combining = false;           ///< Moves are combined; before that, each one is tried alone.
};

struct BudgetResult {
  bool stopped = false;  ///< On request. Nothing is decided then.
  TriedPlan base;
  /// Within the budget, the lowest nll; of plans that are not worse than the base plan, the cheapest.
  std::optional<TriedPlan> best;
  std::optional<TriedPlan> even;  ///< The plan that treats layers alike and fits the budget.
  /// Plans of which none is both cheaper and better, the cheapest first. What is below the nll of the base plan counts
  /// as equal to it.
  std::vector<TriedPlan> front;
  std::vector<TriedPlan> all_even;  ///< The cheapest first.
  MoveValues added;                 ///< The nll that each move adds alone.
  int64_t tried = 0;
};

/// Throws Error{bad_request} if no combination of the moves fits the budget; says what the cheapest one costs. `stop`
/// is asked before each trial; it and `progress` may be empty. The same losses give the same plans.
BudgetResult search_budget(const BudgetTask& task, const BudgetModel& model,
                           const std::function<void(const BudgetProgress&)>& progress = {},
                           const std::function<bool()>& stop = {});

}  // namespace lithe::tune
