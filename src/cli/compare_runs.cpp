#include <fmt/format.h>

#include "cli/command.h"
#include "cli/number.h"
#include "cli/options.h"
#include "cli/paired_table.h"
#include "cli/standard_output.h"

namespace lithe::cli {
namespace {

constexpr const char* kCompareRunsDescription =
    R"(Compares two runs of `lithe eval` question by question.

Both runs have the same questions. So this shows a difference more exactly than two separate scores do. Only questions that
both runs answered count. The table has both mean scores, their difference (B - A) and its 95 % range: if the questions are
drawn anew, the difference lies in this range in 95 of 100 cases (bootstrap, 2,000 draws). It also says how many questions A
answers better than B, and B better than A. If both runs are equally good, p is how likely these two numbers differ by as
much or more (McNemar's exact test). A p below 0.05 is seldom chance.

The scores are those of single questions. The two questions of an MME picture count one by one, and so do the orders in which
MMBench asks a question.

Runs with --metric nll are compared by the nll per token. Less is better; each question counts by the tokens of its answer.)";

constexpr const char* kCompareRunsFooter = R"(Examples:
  lithe eval demo --task gqa --data tests/data/benchmarks/gqa -o eval/p-mod
  lithe eval demo --task gqa --data tests/data/benchmarks/gqa -o eval/dense --plan dense
  lithe compare eval/dense eval/p-mod

Exit codes: 0 done, 2 impossible request, 3 bad file, 1 anything else.)";

struct CompareRunsOptions {
  CommonOptions common;
  std::string first, second;
};

int run(const CompareRunsOptions& options) {
  const ComparedRuns runs = compare_runs(options.first, options.second, options.common.seed);
  if (options.common.json) {
    Json json{{"schema", "lithe-compare/1"}};
    json.update(to_json(runs));
    write_json(json);
    return 0;
  }
  TextTable table = paired_table(runs.pair.task);
  table.rows = {paired_row(runs.pair.by_nll ? "nll" : "score", runs)};
  write_out(table.markdown());
  if (runs.pair.left_out > 0)
    write_err(
        fmt::format("note: {} answers to questions that only one run answered are left out\n", runs.pair.left_out));
  return 0;
}

}  // namespace

Action declare_compare(CLI::App& app) {
  const auto options = std::make_shared<CompareRunsOptions>();
  app.description(kCompareRunsDescription);
  app.footer(kCompareRunsFooter);
  app.add_option("A", options->first, "The folder of a run")->required();
  app.add_option("B", options->second, "The folder of the other run")->required();
  add_whole<uint64_t>(app, options->common.seed,
                      {.names = "--seed", .what = "Seed of the bootstrap (default: 0)", .highest = UINT64_MAX});
  add_json(app, options->common, "Print the result as JSON to stdout instead of the table");
  return [options] { return run(*options); };
}

}  // namespace lithe::cli
