#include "cli/score_table.h"

#include <fmt/format.h>

#include "base/printable.h"
#include "cli/standard_output.h"
#include "cli/text_table.h"

namespace lithe::cli {

void print_scores(const std::string& task, const Json& result, const std::string& why_none) {
  const Json& scores = result.at("scores");
  const int digits = result.at("settings").contains("metric") ? 4 : 2;  // an nll is not in percent
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
