#pragma once

#include <filesystem>
#include <string>

#include "tune/chart.h"
#include "tune/plan_search_run.h"

namespace lithe::tune {

/// The nll of the front's plans along their cost, beside plans that treat all layers alike.
LineChart budget_chart(const BudgetResult& result, BudgetMetric metric);

/// The file of a plan of the front, relative to the folder of the search.
std::filesystem::path file_of(const TriedPlan& plan, BudgetMetric metric);

/// Writes all but measured.jsonl. search.json comes last.
void write_search(const std::filesystem::path& folder, const PlanSearchReport& report, const PlanSearchOptions& options,
                  const std::string& model);

}  // namespace lithe::tune
