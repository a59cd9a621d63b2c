#include <fmt/format.h>

#include "base/printable.h"
#include "cli/command.h"
#include "cli/number.h"
#include "cli/options.h"
#include "cli/standard_output.h"
#include "cli/text_table.h"
#include "eval/run_pair.h"

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
  const eval::RunPair pair = eval::read_run_pair(options.first, options.second);
  const eval::PairedUnit unit =
      pair.by_nll ? eval::PairedUnit{.scale = 1, .fewer_is_better = true} : eval::PairedUnit{};
  const eval::Paired result = eval::paired(pair.scores, options.common.seed, unit);
  const char* const metric = pair.by_nll ? "nll" : "score";
  const int digits = pair.by_nll ? 4 : 2;
  if (options.common.json) {
    write_json({{"schema", "lithe-compare/1"},
                {"task", pair.task},
                {"first", {{"model", pair.first_model}, {"plan", pair.first_plan}, {metric, result.first}}},
                {"second", {{"model", pair.second_model}, {"plan", pair.second_plan}, {metric, result.second}}},
                {"questions", result.questions},
                {"left_out", pair.left_out},
                {"difference", result.difference},
                {"low", result.low},
                {"high", result.high},
                {"only_first", result.only_first},
                {"only_second", result.only_second},
                {"p", result.p}});
    return 0;
  }
  const TextTable table{
      .header = {printable(pair.task), "A", "B", "B - A", "95 %", "A better", "B better", "p", "questions"},
      .rows = {{metric, fmt::format("{:.{}f}", result.first, digits), fmt::format("{:.{}f}", result.second, digits),
                fmt::format("{:+.{}f}", result.difference, digits),
                fmt::format("{0:+.{2}f} to {1:+.{2}f}", result.low, result.high, digits),
                std::to_string(result.only_first), std::to_string(result.only_second), fmt::format("{:.3g}", result.p),
                std::to_string(result.questions)}}};
  write_out(table.markdown());
  if (pair.left_out > 0)
    write_err(fmt::format("note: {} answers to questions that only one run answered are left out\n", pair.left_out));
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
