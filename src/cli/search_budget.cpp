#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/printable.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/outputs.h"
#include "cli/pair.h"
#include "cli/prediction.h"
#include "cli/progress.h"
#include "cli/search_flags.h"
#include "cli/standard_output.h"
#include "cli/text_table.h"
#include "cli/tune_progress.h"
#include "tune/launch.h"
#include "tune/plan_search_files.h"
#include "tune/plan_search_run.h"

namespace lithe::cli {
namespace {

tune::BudgetMetric metric_of(const std::string& name) {
  using tune::BudgetMetric;
  for (const BudgetMetric metric : {BudgetMetric::flops, BudgetMetric::time, BudgetMetric::kv})
    if (name == tune::name_of(metric)) return metric;
  fail(Fault::bad_request, "--metric ", in_quotes(name), " is not flops, time or kv.");
}

std::string row_text(double nll) {
  return fmt::format("{:.4f}", nll);
}

/// The front, the cheapest plan last, with the plan that treats layers alike below.
std::string to_text(const tune::PlanSearchReport& report, const tune::PlanSearchOptions& options) {
  const tune::BudgetResult& found = report.found;
  TextTable table{.header = {"plan", fmt::format("{}, % of dense", tune::name_of(options.metric)), "nll", "file"},
                  .rows = {}};
  const auto add = [&](const tune::TriedPlan& one, const std::string& file) {
    table.rows.push_back(
        {printable(one.plan.name), fmt::format("{:.1f}", 100 * one.cost_share), row_text(one.nll), printable(file)});
  };
  for (auto one = found.front.rbegin(); one != found.front.rend(); ++one)
    add(*one, (options.out / tune::file_of(*one, options.metric)).string());
  if (found.even) add(*found.even, "-");
  std::string text = table.markdown();
  text += fmt::format("wrote {}: {:.1f} % of dense, nll {} on {} samples (all of the base plan: {})\n",
                      printable((options.out / "plan.json").string()), 100 * found.best->cost_share,
                      row_text(found.best->nll), report.samples, row_text(found.base.nll));
  if (!report.check_best) return text;
  text += fmt::format("on {} other {}: nll {}, the base plan {}", report.check_samples,
                      report.check_samples == 1 ? "sample" : "samples", row_text(*report.check_best),
                      row_text(*report.check_base));
  if (report.check_even) text += fmt::format(", the same share in all layers {}", row_text(*report.check_even));
  return text + "\n";
}

/// A search as it is watched.
class BudgetCommand {
 public:
  explicit BudgetCommand(const SearchFlags& flags) : flags_(flags) {
    options_ = {.data = searched_data(flags),
                .eval_data = checking_data(flags),
                .plan = flags.plan,
                .samples = flags.samples.value_or(tune::PlanSearchOptions{}.samples),
                .budget = *flags.budget,
                .metric = metric_of(flags.metric.value_or("flops")),
                .seed = flags.common.seed,
                .out = flags.out,
                .stop = interrupt_.token()};
    require(options_.budget < 1, Fault::bad_request, "--budget is ", options_.budget,
            "; it is a share of what the dense model costs, above 0 and below 1. (With --skip it is minutes.)");
    require(tune::read_launch().size == 1, Fault::bad_request,
            "A search under a budget runs in one process; start it without mpirun, srun or torchrun.");
    require(!flags.steps, Fault::bad_request, "--steps is for the search with --skip; leave it out.");
    require(!is_pair_model(flags.model), Fault::bad_request,
            "A METER model can be searched only with a recipe; use `lithe tune`.");
  }

  int run() {
    const session::Session session = open_session(flags_.model, flags_.common);
    if (options_.metric == tune::BudgetMetric::time)
      options_.speed =
          speed_of_machine(session.describe().at("weights").value("type", std::string("float32")), flags_.common);
    options_.on_progress = [this](const tune::BudgetProgress& progress) { tell(progress); };
    const tune::PlanSearchReport report = tune::search_plan(session, options_);
    progress_.wipe();
    if (flags_.common.json) write_json(tune::to_json(report, options_, session.facts().name));
    if (report.found.stopped) {
      write_err(fmt::format("stopped after {} plans; the same command continues the search\n", report.found.tried));
      return kExitInterrupted;
    }
    if (!flags_.common.json) write_out(to_text(report, options_));
    return 0;
  }

 private:
  void tell(const tune::BudgetProgress& progress) {
    interrupt_.poll();
    const double share = static_cast<double>(progress.tried) / static_cast<double>(progress.expected);
    const double left = clock_.elapsed_ms() / 1e3 * (1 - share) / share;
    progress_.update(fmt::format("{} of about {} plans ({:.0f} %), {}, {} left", progress.tried, progress.expected,
                                 100 * share, progress.combining ? "combining moves" : "trying each move alone",
                                 duration_text(left)));
  }

  const SearchFlags& flags_;
  tune::PlanSearchOptions options_;
  InterruptGuard interrupt_;
  Progress progress_{"search"};
  Stopwatch clock_;
};

}  // namespace

int search_budget(const SearchFlags& flags) {
  return BudgetCommand(flags).run();
}

}  // namespace lithe::cli
