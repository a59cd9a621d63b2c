#include "tune/plan_search.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "base/error.h"

namespace lithe::tune {
namespace {

constexpr int kLevels = 5;          // budgets from the base plan's cost to the target
constexpr int kLevelsBelow = 2;     // and from there to the cheapest combination
constexpr int kRounds = 3;          // of trying and correcting
constexpr std::size_t kOthers = 8;  // combinations near the best one that a round tries

struct Stopped {};

class BudgetSearch {
 public:
  BudgetSearch(const BudgetTask& task, const BudgetModel& model,
               const std::function<void(const BudgetProgress&)>& progress, const std::function<bool()>& stop)
      : task_(task), model_(model), progress_(progress), stop_(stop) {}

  BudgetResult run() {
    count_costs();
    try {
      try_alone();
      combine();
    } catch (const Stopped&) {
      result_.stopped = true;
      return std::move(result_);
    }
    decide();
    return std::move(result_);
  }

 private:
  void count_costs() {
    base_cost_ = model_.cost(task_.base);
    double cheapest = base_cost_;
    for (const std::vector<plan::Move>& layer : task_.moves) {
      std::vector<double>& own = costs_.emplace_back();
      const std::size_t at = costs_.size() - 1;
      for (std::size_t move = 0; move < layer.size(); ++move)
        own.push_back(move == 0 ? 0 : model_.cost(plan_of(alone(at, move))) - base_cost_);
      cheapest += *std::min_element(own.begin(), own.end());
      moves_ += static_cast<int64_t>(layer.size()) - 1;
    }
    cheapest_ = cheapest;
    require(cheapest <= task_.budget, Fault::bad_request, "The cheapest plan that this search can make costs ",
            std::ceil(1000 * cheapest) / 1000, " of dense, and the budget is ", task_.budget,
            "; give a larger --budget.");
  }

  plan::Combination alone(std::size_t layer, std::size_t move) const {
    plan::Combination one(task_.moves.size(), 0);
    one[layer] = move;
    return one;
  }
  plan::Plan plan_of(const plan::Combination& one) const { return plan::combined(task_.base, task_.moves, one, ""); }

  /// Runs the samples under a plan.
  double measured(const plan::Plan& plan) {
    if (stop_ && stop_()) throw Stopped();
    const double nll = model_.nll(plan);
    ++result_.tried;
    if (progress_)
      progress_({.tried = result_.tried, .expected = std::max(expected(), result_.tried), .combining = combining_});
    return nll;
  }

  int64_t expected() const {
    return 1 + moves_ + (kLevels + kLevelsBelow) * (kRounds + (model_.even ? 1 : 0)) +
           kRounds * static_cast<int64_t>(kOthers);
  }

  void keep(plan::Plan plan, double nll, bool even) {
    TriedPlan one{.cost_share = model_.cost(plan), .nll = nll, .even = even};
    plan.name = concat(even ? "evenly-" : "searched-", std::lround(100 * one.cost_share));
    one.plan = std::move(plan);
    tried_.push_back(std::move(one));
  }

  void try_alone() {
    const double nll = measured(task_.base);
    seen_.insert(plan::Combination(task_.moves.size(), 0));
    result_.base = {.plan = task_.base, .cost_share = base_cost_, .nll = nll};
    tried_.push_back(result_.base);
    for (std::size_t layer = 0; layer < task_.moves.size(); ++layer) {
      std::vector<double>& added = result_.added.emplace_back(1, 0.0);
      for (std::size_t move = 1; move < task_.moves[layer].size(); ++move) {
        seen_.insert(alone(layer, move));
        const plan::Plan plan = plan_of(alone(layer, move));
        added.push_back(measured(plan) - nll);
        keep(plan, added.back() + nll, false);
      }
    }
    losses_ = result_.added;
    combining_ = true;
  }

  /// Tries a combination that was not tried yet, and corrects the losses.
  void correct(const plan::Combination& combination) {
    if (!seen_.insert(combination).second) return;
    const plan::Plan plan = plan_of(combination);
    const double nll = measured(plan);
    keep(plan, nll, false);
    combined_.push_back({combination, nll - result_.base.nll});
    losses_ = fitted(result_.added, combined_);
  }

  std::vector<double> levels() const {
    std::vector<double> levels;
    for (int i = 1; i <= kLevels; ++i) levels.push_back(base_cost_ + (task_.budget - base_cost_) * i / kLevels);
    for (int i = 1; i <= kLevelsBelow; ++i)
      levels.push_back(task_.budget + (cheapest_ - task_.budget) * i / (kLevelsBelow + 1));
    return levels;
  }

  void combine() {
    for (const double level : levels()) {
      const auto even = model_.even ? model_.even(level) : std::nullopt;
      if (even) keep(*even, measured(*even), true);
    }
    for (int round = 0; round < kRounds; ++round)
      for (const double level : levels())
        if (const auto best = cheapest_loss(losses_, costs_, level - base_cost_)) correct(*best);
    for (int round = 0; round < kRounds; ++round) try_others();
  }

  /// Of the combinations that differ from the best one in a layer, those that should be the best.
  void try_others() {
    std::vector<std::pair<double, plan::Combination>> others;
    for (std::size_t layer = 0; layer < losses_.size(); ++layer) {
      for (std::size_t move = 0; move < losses_[layer].size(); ++move) {
        auto other = cheapest_loss(losses_, costs_, task_.budget - base_cost_, ForcedMove{layer, move});
        if (!other || seen_.contains(*other)) continue;
        const double loss = counted_sum(losses_, *other);
        others.emplace_back(loss, std::move(*other));
      }
    }
    std::sort(others.begin(), others.end());
    others.erase(std::unique(others.begin(), others.end()), others.end());
    others.resize(std::min(others.size(), kOthers));
    for (const auto& [loss, other] : others) correct(other);
  }

  /// A plan that skips computation is not better than the base plan, but by chance: else the search would look for
  /// plans that suit a few samples.
  double counted(const TriedPlan& one) const { return std::max(one.nll, result_.base.nll); }

  void decide() {
    // Of equal costs the better one, of equal plans the one that was tried first.
    std::stable_sort(tried_.begin(), tried_.end(), [this](const TriedPlan& a, const TriedPlan& b) {
      return std::pair(a.cost_share, counted(a)) < std::pair(b.cost_share, counted(b));
    });
    for (const TriedPlan& one : tried_) {
      if (one.even) result_.all_even.push_back(one);
      const bool fits = one.cost_share <= task_.budget + 1e-9;
      if (one.even && fits) result_.even = one;  // the dearest that fits
      if (!result_.front.empty() && counted(one) >= counted(result_.front.back())) continue;
      result_.front.push_back(one);
      if (fits) result_.best = one;
    }
  }

  const BudgetTask& task_;
  const BudgetModel& model_;
  const std::function<void(const BudgetProgress&)>& progress_;
  const std::function<bool()>& stop_;
  MoveValues costs_, losses_;  // above the base plan
  double base_cost_ = 1, cheapest_ = 0;
  int64_t moves_ = 0;
  bool combining_ = false;
  std::set<plan::Combination> seen_;
  std::vector<MeasuredLoss> combined_;
  std::vector<TriedPlan> tried_;
  BudgetResult result_;
};

}  // namespace

BudgetResult search_budget(const BudgetTask& task, const BudgetModel& model,
                           const std::function<void(const BudgetProgress&)>& progress,
                           const std::function<bool()>& stop) {
  return BudgetSearch(task, model, progress, stop).run();
}

}  // namespace lithe::tune
