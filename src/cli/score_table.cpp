#include "cli/score_table.h"

#include <fmt/format.h>

#include "base/printable.h"
#include "cli/standard_output.h"
#include "cli/text_table.h"

namespace lithe::cli {

void print_scores(const std::string& task, const Json& scores) {
  TextTable table{.header = {task, "score", "questions"}, .rows = {}};
  std::string notes;
  for (const Json& score : scores) {
    const std::string name = printable(score.at("name").get<std::string>());
    const bool missing = score.contains("missing");
    table.rows.push_back({name, missing ? "-" : fmt::format("{:.2f}", score.at("value").get<double>()),
                          std::to_string(score.at("questions").get<int64_t>())});
    if (missing) notes += fmt::format("note: no {}: {}\n", name, printable(score.at("missing").get<std::string>()));
  }
  write_out(table.rows.empty() ? "no scores: the split keeps its answers secret\n" : table.markdown());
  if (!notes.empty()) write_err(notes);
}

}  // namespace lithe::cli
