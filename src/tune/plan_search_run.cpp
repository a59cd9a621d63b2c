#include "tune/plan_search_run.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "data/data_set.h"
#include "models/model.h"
#include "plan/parse.h"
#include "tune/answer_losses.h"
#include "tune/measured_file.h"
#include "tune/plan_search_files.h"
#include "tune/recipe_options.h"
#include "tune/record_order.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSelector = "uniform";  // of rules that the base plan does not have
constexpr int kHalvings = 24;                 // of the share that plans keep evenly
constexpr double kSame = 1e-4;                // two measurements of one plan

/// Counts plans as a share of dense, over the prompts of the samples.
class SampleCost {
 public:
  SampleCost(const session::Session& session, const PlanSearchOptions& options,
             const std::vector<CountedPrompts>& prompts)
      : facts_(session.facts()), counting_(session.counting()), options_(options), prompts_(prompts) {}

  double share(const plan::Plan& plan) const {
    double own = 0, dense = 0;
    for (const CountedPrompts& prompts : prompts_) {
      const plan::CostTable table = plan::cost(plan, facts_, prompts.shape, counting_);
      const auto [one, other] = both(table);
      own += static_cast<double>(prompts.count) * one;
      dense += static_cast<double>(prompts.count) * other;
    }
    return dense > 0 ? own / dense : 1;
  }

 private:
  std::pair<double, double> both(const plan::CostTable& table) const {
    switch (options_.metric) {
      case BudgetMetric::kv:
        return {static_cast<double>(table.total.kv_bytes), static_cast<double>(table.dense.kv_bytes)};
      case BudgetMetric::time:
        require(options_.speed.has_value(), Fault::internal, "the time of a plan needs the speed of the machine");
        return {plan::predicted(table, facts_, *options_.speed).prefill,
                plan::predicted_dense(table, facts_, *options_.speed).prefill};
      case BudgetMetric::flops:
        break;
    }
    return {table.total.decoder + table.total.head, table.dense.decoder + table.dense.head};
  }

  const plan::ModelFacts& facts_;
  const plan::CostOptions counting_;
  const PlanSearchOptions& options_;
  const std::vector<CountedPrompts>& prompts_;
};

/// The costs of layers add up, and pictures go through the tower once, only if no rule looks at what other layers did.
void check_base(const plan::Plan& base, const plan::ModelFacts& facts) {
  for (const plan::LayerPlan& layer : base.layers) {
    for (const plan::Rule& rule : layer.rules) {
      const plan::SelectorFacts* selector = facts.find_selector(rule.by);
      const bool alone = selector && (selector->reads == plan::Reads::nothing ||
                                      selector->reads == plan::Reads::router || selector->reads == plan::Reads::given);
      require(layer.stream != "decoder" || (alone && rule.others_return), Fault::bad_request, "The plan ",
              in_quotes(base.name), " drops tokens for good in layer ", layer.layer,
              ", or chooses them by what other layers computed; a search under a budget begins with a plan such as ",
              "dense or p-mod.");
    }
  }
}

class Run {
 public:
  Run(const session::Session& session, const PlanSearchOptions& options)
      : session_(session),
        options_(options),
        base_(options.plan.empty() ? session.plan() : plan::load_plan(options.plan, session.facts())) {}

  PlanSearchReport run() {
    require(!is_there(options_.out / "scores.json"), Fault::bad_request, "The folder ",
            in_quotes(options_.out.string()), " holds a search for redundant attentions; give another --output.");
    check_base(base_, session_.facts());
    choose_records();
    MeasuredFile measured(options_.out / "measured.jsonl", settings());
    const AnswerLosses losses(session_.model(), base_, *set_, records_);
    const SampleCost cost(session_, options_, losses.prompts());
    report_.samples = std::ssize(records_);
    report_.moves = plan::moves_of(base_, session_.facts(), kSelector);
    const BudgetTask task{.base = base_, .moves = report_.moves, .budget = options_.budget};
    const BudgetModel model{.cost = [&](const plan::Plan& plan) { return cost.share(plan); },
                            .nll = [&](const plan::Plan& plan) { return nll(losses, measured, plan); },
                            .even = [&](double share) { return even(cost, share); }};
    report_.found = search_budget(task, model, options_.on_progress, [this] { return options_.stop.stop_requested(); });
    if (report_.found.stopped) return std::move(report_);
    check();
    write_search(options_.out, report_, options_, session_.facts().name);
    return std::move(report_);
  }

 private:
  /// Those that are searched on; those that check the result come from --eval-data, or are others of the set.
  void choose_records() {
    set_ = open_records(options_.data, session_.model());
    if (!options_.eval_data.path.empty()) {
      check_set_ = open_records(options_.eval_data, session_.model());
      const int64_t count = std::min(options_.samples, set_->size());
      records_ = drawn_records(set_->size(), count, options_.seed);
      check_records_ = drawn_records(check_set_->size(), std::min(options_.samples, check_set_->size()), options_.seed);
      return;
    }
    // A fifth of a small set is kept for the check.
    const int64_t size = set_->size(), count = std::min(options_.samples, std::max<int64_t>(1, size - size / 5));
    records_ = drawn_records(size, std::min(size, 2 * count), options_.seed);
    check_records_.assign(records_.begin() + count, records_.end());
    records_.resize(static_cast<std::size_t>(count));
  }

  Json settings() const {
    Json settings{{"model", fs::absolute(session_.model().folder).lexically_normal().string()},
                  {"data", fs::absolute(options_.data.path).lexically_normal().string()},
                  {"records", set_->size()},
                  {"samples", records_.size()},
                  {"seed", options_.seed},
                  {"plan", plan::to_json(base_)}};
    if (options_.data.task.empty()) return settings;
    settings["task"] = options_.data.task;
    settings["split"] = options_.data.split;
    return settings;
  }

  /// The base plan is always measured: if it has another nll than before, the model or the data changed.
  double nll(const AnswerLosses& losses, MeasuredFile& measured, const plan::Plan& plan) const {
    const std::optional<double> before = measured.find(plan);
    if (before && plan.layers != base_.layers) return *before;
    const double now = losses.nll(plan);
    require(!before || std::abs(*before - now) <= kSame * std::max(1.0, now), Fault::bad_request, "The folder ",
            in_quotes(options_.out.string()), " holds a search whose model or data have changed since; give another ",
            "--output.");
    if (!before) measured.add(plan, now);
    return now;
  }

  /// The largest share of vision tokens in every layer that fits.
  std::optional<plan::Plan> even(const SampleCost& cost, double most) const {
    const auto keeping = [&](double share) { return plan::evenly_kept(base_, session_.facts(), kSelector, share); };
    if (cost.share(keeping(0)) > most) return std::nullopt;
    double low = 0, high = 1;
    for (int i = 0; i < kHalvings; ++i) {
      const double middle = (low + high) / 2;
      (cost.share(keeping(middle)) <= most ? low : high) = middle;
    }
    return keeping(low);
  }

  void check() {
    if (check_records_.empty()) return;
    const AnswerLosses losses(session_.model(), base_, check_set_ ? *check_set_ : *set_, check_records_);
    report_.check_samples = std::ssize(check_records_);
    report_.check_base = losses.nll(base_);
    report_.check_best = losses.nll(report_.found.best->plan);
    if (report_.found.even) report_.check_even = losses.nll(report_.found.even->plan);
  }

  const session::Session& session_;
  const PlanSearchOptions& options_;
  const plan::Plan base_;
  std::unique_ptr<data::DataSet> set_, check_set_;
  std::vector<int64_t> records_, check_records_;
  PlanSearchReport report_;
};

}  // namespace

PlanSearchReport search_plan(const session::Session& session, const PlanSearchOptions& options) {
  return Run(session, options).run();
}

}  // namespace lithe::tune
