#include "cli/score_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/printable.h"
#include "cli/standard_output.h"
#include "cli/text_table.h"

namespace lithe::cli {

namespace {

/// An nll is not in percent.
int digits_of(const Json& result) {
  return result.at("settings").contains("metric") ? 4 : 2;
}

std::string number_in(const Json& score, const char* key, int digits) {
  return score.contains(key) && score.at(key).is_number() ? fmt::format("{:.{}f}", score.at(key).get<double>(), digits)
                                                          : "";
}

/// A score with its standard error; "-" without a value; empty if there is no such score.
std::string value_of(const Json& result, const std::string& name) {
  for (const Json& score : result.at("scores")) {
    if (score.at("name") != name) continue;
    if (score.contains("missing")) return "-";
    const std::string error = number_in(score, "standard_error", digits_of(result));
    return number_in(score, "value", digits_of(result)) + (error.empty() ? "" : " (" + error + ")");
  }
  return "";
}

/// Why scores of a result have no value.
std::string missing_in(const Json& result) {
  std::string note;
  int64_t missing = 0;
  for (const Json& score : result.at("scores"))
    if (score.contains("missing") && ++missing == 1)
      note = fmt::format("note: no {}: {}", printable(score.at("name").get<std::string>()),
                         printable(score.at("missing").get<std::string>()));
  if (missing > 1) note += fmt::format("; {} other scores lack answers too", missing - 1);
  return note;
}

std::vector<std::string> names_in(const std::vector<PlanScores>& plans) {
  std::vector<std::string> names;
  for (const PlanScores& plan : plans)
    for (const Json& score : plan.result.at("scores")) {
      const auto name = score.at("name").get<std::string>();
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  return names;
}

}  // namespace

void print_scores(const std::string& task, const std::vector<PlanScores>& plans) {
  TextTable table{.header = {task}, .rows = {}};
  const auto name_of = [](const PlanScores& plan) { return printable(plan.result.at("plan").get<std::string>()); };
  for (const PlanScores& plan : plans) table.header.push_back(name_of(plan));
  const auto add = [&](const std::string& name, const auto& cell) {
    std::vector<std::string>& row = table.rows.emplace_back(1, printable(name));
    for (const PlanScores& plan : plans) row.push_back(cell(plan.result));
  };
  for (const std::string& name : names_in(plans)) add(name, [&](const Json& result) { return value_of(result, name); });
  add("questions", [](const Json& result) { return std::to_string(result.at("answered").get<int64_t>()); });
  const bool counted = std::any_of(plans.begin(), plans.end(),
                                   [](const PlanScores& plan) { return plan.result.contains("counted_share"); });
  if (counted) add("operations", [](const Json& result) { return number_in(result, "counted_share", 3); });
  write_out(table.markdown());
  for (const PlanScores& plan : plans) {
    const std::string note =
        plan.result.at("scores").empty() ? "note: no scores: " + plan.why_none : missing_in(plan.result);
    if (!note.empty()) write_err(fmt::format("{} (plan {})\n", note, name_of(plan)));
  }
}

void print_scores(const std::string& task, const Json& result, const std::string& why_none) {
  const int digits = digits_of(result);
  TextTable table{.header = {task, "score", "error", "questions"}, .rows = {}};
  for (const Json& score : result.at("scores"))
    table.rows.push_back({printable(score.at("name").get<std::string>()),
                          score.contains("missing") ? "-" : number_in(score, "value", digits),
                          number_in(score, "standard_error", digits),
                          std::to_string(score.at("questions").get<int64_t>())});
  write_out(table.rows.empty() ? "no scores: " + why_none + "\n" : table.markdown());
  if (const std::string note = missing_in(result); !note.empty()) write_err(note + "\n");
}

std::string why_no_scores(int64_t answered, int64_t failed, const std::string& error) {
  if (answered > 0 || failed == 0) return "the split keeps its answers secret";
  const std::string all = failed == 1 ? "the question failed" : fmt::format("all {} questions failed", failed);
  return error.empty() ? all : all + "; the first error: " + printable(error, kMostSentenceBytes);
}

}  // namespace lithe::cli
