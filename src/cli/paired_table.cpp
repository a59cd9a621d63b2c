#include "cli/paired_table.h"

#include <fmt/format.h>

#include "base/printable.h"

namespace lithe::cli {

ComparedRuns compare_runs(const std::filesystem::path& first, const std::filesystem::path& second, uint64_t seed) {
  ComparedRuns runs{.pair = eval::read_run_pair(first, second), .result = {}};
  const eval::PairedUnit unit =
      runs.pair.by_nll ? eval::PairedUnit{.scale = 1, .fewer_is_better = true} : eval::PairedUnit{};
  runs.result = eval::paired(runs.pair.scores, seed, unit);
  return runs;
}

Json to_json(const ComparedRuns& runs) {
  const auto& [pair, result] = runs;
  const char* const metric = pair.by_nll ? "nll" : "score";
  return {{"task", pair.task},
          {"first", {{"model", pair.first_model}, {"plan", pair.first_plan}, {metric, result.first}}},
          {"second", {{"model", pair.second_model}, {"plan", pair.second_plan}, {metric, result.second}}},
          {"questions", result.questions},
          {"left_out", pair.left_out},
          {"difference", result.difference},
          {"low", result.low},
          {"high", result.high},
          {"only_first", result.only_first},
          {"only_second", result.only_second},
          {"p", result.p}};
}

TextTable paired_table(const std::string& task) {
  return {.header = {printable(task), "A", "B", "B - A", "95 %", "A better", "B better", "p", "questions"}, .rows = {}};
}

std::vector<std::string> paired_row(const std::string& label, const ComparedRuns& runs) {
  const eval::Paired& result = runs.result;
  const int digits = runs.pair.by_nll ? 4 : 2;
  return {label,
          fmt::format("{:.{}f}", result.first, digits),
          fmt::format("{:.{}f}", result.second, digits),
          fmt::format("{:+.{}f}", result.difference, digits),
          fmt::format("{0:+.{2}f} to {1:+.{2}f}", result.low, result.high, digits),
          std::to_string(result.only_first),
          std::to_string(result.only_second),
          fmt::format("{:.3g}", result.p),
          std::to_string(result.questions)};
}

}  // namespace lithe::cli
