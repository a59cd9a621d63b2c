#include "tune/plan_search_files.h"

#include <cmath>
#include <string>

#include "base/error.h"
#include "io/atomic_file.h"
#include "plan/parse.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;

Series series_of(const std::string& name, const std::vector<TriedPlan>& plans) {
  Series series{.name = name};
  for (const TriedPlan& one : plans) {
    series.x.push_back(100 * one.cost_share);
    series.y.push_back(one.nll);
  }
  return series;
}

Json json_of(const TriedPlan& plan) {
  return {{"plan", plan.plan.name}, {"cost_share", plan.cost_share}, {"nll", plan.nll}};
}

/// What each move adds alone.
Json moves_json(const BudgetResult& result, const plan::Moves& moves) {
  Json list = Json::array();
  for (std::size_t layer = 0; layer < result.added.size(); ++layer)
    for (std::size_t move = 1; move < result.added[layer].size(); ++move)
      list.push_back({{"layer", layer}, {"move", moves[layer][move].name}, {"added_nll", result.added[layer][move]}});
  return list;
}

}  // namespace

const char* name_of(BudgetMetric metric) {
  switch (metric) {
    case BudgetMetric::time:
      return "time";
    case BudgetMetric::kv:
      return "kv";
    case BudgetMetric::flops:
      break;
  }
  return "flops";
}

LineChart budget_chart(const BudgetResult& result, BudgetMetric metric) {
  LineChart chart{.title = "What cheaper plans lose",
                  .x_label = concat(name_of(metric), ", % of dense"),
                  .y_label = "nll per token of the answers (lower is better)",
                  .series = {series_of("searched", result.front)}};
  if (!result.all_even.empty()) chart.series.push_back(series_of("the same share in all layers", result.all_even));
  return chart;
}

fs::path file_of(const TriedPlan& plan, BudgetMetric metric) {
  const std::string digits = std::to_string(std::lround(10'000 * plan.cost_share));
  return fs::path("plans") /
         concat(name_of(metric), '-', std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0'), digits, ".json");
}

Json to_json(const PlanSearchReport& report, const PlanSearchOptions& options, const std::string& model) {
  const BudgetResult& found = report.found;
  Json json{{"schema", "lithe-search-plan/1"},   {"model", model},
            {"metric", name_of(options.metric)}, {"budget_share", options.budget},
            {"samples", report.samples},         {"tried", found.tried},
            {"stopped", found.stopped}};
  if (found.stopped) return json;
  json["base"] = json_of(found.base);
  json["best"] = json_of(*found.best);
  json["best"]["file"] = "plan.json";
  if (found.even) json["even"] = json_of(*found.even);
  json["front"] = Json::array();
  for (const TriedPlan& one : found.front) {
    json["front"].push_back(json_of(one));
    json["front"].back()["file"] = file_of(one, options.metric).string();
  }
  json["moves"] = moves_json(found, report.moves);
  if (report.check_best) {
    json["check"] = {
        {"samples", report.check_samples}, {"base_nll", *report.check_base}, {"best_nll", *report.check_best}};
    if (report.check_even) json["check"]["even_nll"] = *report.check_even;
  }
  json["output"] = options.out.string();
  return json;
}

void write_search(const fs::path& folder, const PlanSearchReport& report, const PlanSearchOptions& options,
                  const std::string& model) {
  io::make_folder(folder / "plans");
  for (const TriedPlan& one : report.found.front)
    io::write_json_atomic(folder / file_of(one, options.metric), plan::to_json(one.plan));
  io::write_json_atomic(folder / "plan.json", plan::to_json(report.found.best->plan));
  io::write_text_atomic(folder / "search.svg", svg_file(svg_of(budget_chart(report.found, options.metric))));
  io::write_json_atomic(folder / "search.json", to_json(report, options, model));
}

}  // namespace lithe::tune
