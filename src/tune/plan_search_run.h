#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "base/json.h"
#include "plan/predict.h"
#include "session/session.h"
#include "tune/plan_search.h"
#include "tune/recipe.h"

// A plan search over a data set, from start to end. The header sees no tensors.
namespace lithe::tune {

/// What a budget is a share of: the operations of the decoder's prefill and its head, their predicted time, or the
/// bytes of keys and values after it.
enum class BudgetMetric { flops, time, kv };

/// "flops", "time", "kv"
const char* name_of(BudgetMetric metric);

struct PlanSearchOptions {
  DataSet data, eval_data;  ///< If the second has no path, a part of the first checks the result.
  std::string plan;         ///< The base plan; empty: the model's own.
  int64_t samples = 100;    ///< Records that plans are tried on, at most.
  double budget = 0.5;
  BudgetMetric metric = BudgetMetric::flops;
  std::optional<plan::MachineSpeed> speed;  ///< For `time`.
  uint64_t seed = 0;                        ///< Of the choice of records.
  std::filesystem::path out;
  std::function<void(const BudgetProgress&)> on_progress;
  std::stop_token stop;  ///< Ends the search after the plan at hand.
};

/// What was found and how it does on records that were not searched on.
struct PlanSearchReport {
  BudgetResult found;
  plan::Moves moves;  ///< Of the layers, in the order of `found.added`.
  int64_t samples = 0, check_samples = 0;
  std::optional<double> check_base, check_best, check_even;  ///< The nll of the check; absent without check samples.
};

/// Finds the plan that loses least within the budget. `out` gets plan.json, plans/ with the plans of the front,
/// search.json (the report), search.svg and measured.jsonl. A search in the same folder uses what was measured there,
/// also for another budget or metric. Throws Error.
PlanSearchReport search_plan(const session::Session& session, const PlanSearchOptions& options);

/// What search.json holds.
Json to_json(const PlanSearchReport& report, const PlanSearchOptions& options, const std::string& model);

}  // namespace lithe::tune
