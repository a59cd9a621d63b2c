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

/// "-" for a score without a value; empty if there is no such score.
std::string value_of(const Json& result, const std::string& name) {
  for (const Json& score : result.at("scores")) {
    if (score.at("name") != name) continue;
    return score.at("value").is_number() ? fmt::format("{:.{}f}", score.at("value").get<double>(), digits_of(result))
                                         : "-";
  }
  return "";
}

}  // namespace

void print_scores(const std::string& task, const std::vector<Json>& results, const std::string& why_none) {
  TextTable table{.header = {task}, .rows = {}};
  std::vector<std::string> names;
  for (const Json& result : results) {
    table.header.push_back(printable(result.at("plan").get<std::string>()));
    for (const Json& score : result.at("scores")) {
      const auto name = score.at("name").get<std::string>();
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  if (names.empty()) return write_out("no scores: " + why_none + "\n");
  for (const std::string& name : names) {
    table.rows.push_back({printable(name)});
    for (const Json& result : results) table.rows.back().push_back(value_of(result, name));
  }
  table.rows.push_back({"questions"});
  for (const Json& result : results) table.rows.back().push_back(std::to_string(result.at("answered").get<int64_t>()));
  table.rows.push_back({"operations"});
  for (const Json& result : results)
    table.rows.back().push_back(
        result.contains("counted_share") ? fmt::format("{:.3f}", result.at("counted_share").get<double>()) : "");
  write_out(table.markdown());
}

void print_scores(const std::string& task, const Json& result, const std::string& why_none) {
  const Json& scores = result.at("scores");
  const int digits = digits_of(result);
  TextTable table{.header = {task, "score", "error", "questions"}, .rows = {}};
  std::string note;
  int64_t missing = 0;
  for (const Json& score : scores) {
    const std::string name = printable(score.at("name").get<std::string>());
    const auto number = [&](const char* key) {
      return score.contains(key) && score.at(key).is_number()
                 ? fmt::format("{:.{}f}", score.at(key).get<double>(), digits)
                 : "";
    };
    const bool has_value = !score.contains("missing");
    table.rows.push_back({name, has_value ? number("value") : "-", number("standard_error"),
                          std::to_string(score.at("questions").get<int64_t>())});
    if (has_value || ++missing > 1) continue;
    note = fmt::format("note: no {}: {}", name, printable(score.at("missing").get<std::string>()));
  }
  write_out(table.rows.empty() ? "no scores: " + why_none + "\n" : table.markdown());
  if (missing > 1) note += fmt::format("; {} other scores lack answers too", missing - 1);
  if (missing > 0) write_err(note + "\n");
}

std::string why_no_scores(int64_t answered, int64_t failed, const std::string& error) {
  if (answered > 0 || failed == 0) return "the split keeps its answers secret";
  const std::string all = failed == 1 ? "the question failed" : fmt::format("all {} questions failed", failed);
  return error.empty() ? all : all + "; the first error: " + printable(error, kMostSentenceBytes);
}

}  // namespace lithe::cli
