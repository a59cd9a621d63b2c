#include "tune/plan_search_run.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "data/data_set.h"
#include "plan/parse.h"
#include "sentence_of.h"
#include "session/batch.h"
#include "temporary_folder.h"
#include "tune/shipped_questions.h"

// The search for a plan under a budget, on the demo model and easy-VQA.
namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using lithe::test::sentence_of;

const session::Session& demo() {
  static const session::Session session = session::Session::open(kShippedModels / "easyvqa-dense");
  return session;
}

/// The nll of records under a plan, by the way that answers questions.
double served_nll(const std::string& file, const plan::Plan& plan) {
  const auto set = data::DataSet::open({.path = file, .decode = demo().decode_options()});
  session::BatchRun batch(demo());
  for (int64_t i = 0; i < set->size(); ++i) {
    data::Record record = set->read(i);
    session::Request request{.images = record.images, .plan = plan, .given_answer = record.turns.back().text};
    record.turns.pop_back();
    for (const data::Turn& turn : record.turns) request.messages.push_back(text::text_message(turn.role, turn.text));
    batch.submit(i, std::move(request));
  }
  double sum = 0, tokens = 0;
  while (!batch.idle()) {
    for (const session::Outcome& outcome : batch.step()) {
      EXPECT_FALSE(outcome.error) << outcome.error->what();
      for (const double loss : outcome.answer.losses) sum += loss;
      tokens += static_cast<double>(outcome.answer.losses.size());
    }
  }
  return sum / tokens;
}

/// One search for all tests; it takes some seconds.
struct Searched {
  Searched() {
    // Of other pictures than the check, as ten questions follow each other about one.
    options.data.path = shipped_questions(folder, "searched.jsonl", 0, 20, 25);
    options.eval_data.path = shipped_questions(folder, "held-out.jsonl", 500, 4, 120);
    options.samples = 120;
    options.budget = 0.5;
    options.out = folder / "out";
    report = search_plan(demo(), options);
  }
  lithe::test::TemporaryFolder folder;
  PlanSearchOptions options;
  PlanSearchReport report;
};

const Searched& searched() {
  static const Searched one;
  return one;
}

TEST(PlanSearchRun, FitsTheBudgetAndLosesNoMoreThanAPlanThatTreatsLayersAlike) {
  const Searched& one = searched();
  const BudgetResult& found = one.report.found;
  ASSERT_TRUE(found.best && found.even);
  EXPECT_EQ(one.report.samples, 25);
  EXPECT_EQ(one.report.check_samples, 120);
  EXPECT_LE(found.best->cost_share, 0.5);
  EXPECT_LE(found.even->cost_share, 0.5);
  EXPECT_GT(found.even->cost_share, 0.45) << "of equal cost";
  EXPECT_LE(found.best->nll, found.even->nll);
  // On questions about other pictures, too.
  EXPECT_LE(*one.report.check_best, *one.report.check_even);
  EXPECT_LT(*one.report.check_best, *one.report.check_base + 0.05);
}

// Training's pass over an answer gives what serving gives.
TEST(PlanSearchRun, MeasuresTheNllOfServing) {
  const Searched& one = searched();
  EXPECT_NEAR(served_nll(one.options.eval_data.path, one.report.found.best->plan), *one.report.check_best, 1e-3);
  EXPECT_NEAR(served_nll(one.options.eval_data.path, demo().plan()), *one.report.check_base, 1e-3);
}

TEST(PlanSearchRun, WritesPlansThatRun) {
  const Searched& one = searched();
  const Json report = read_json_file(one.options.out / "search.json");
  EXPECT_EQ(report.at("schema"), "lithe-search-plan/1");
  EXPECT_EQ(report.at("best").at("nll").get<double>(), one.report.found.best->nll);
  EXPECT_EQ(plan::load_plan((one.options.out / "plan.json").string(), demo().facts()), one.report.found.best->plan);
  ASSERT_EQ(report.at("front").size(), one.report.found.front.size());
  for (std::size_t i = 0; i < report.at("front").size(); ++i) {
    const fs::path file = one.options.out / report.at("front")[i].at("file").get<std::string>();
    EXPECT_EQ(plan::load_plan(file.string(), demo().facts()), one.report.found.front[i].plan);
  }
  EXPECT_TRUE(fs::exists(one.options.out / "search.svg"));
}

TEST(PlanSearchRun, ContinuesFromWhatWasMeasured) {
  const Searched& one = searched();
  const lithe::test::TemporaryFolder folder;
  PlanSearchOptions options = one.options;
  options.out = folder / "out";
  std::stop_source stop;
  options.stop = stop.get_token();
  options.on_progress = [&](const BudgetProgress& progress) {
    if (progress.tried == 20) stop.request_stop();
  };
  EXPECT_TRUE(search_plan(demo(), options).found.stopped);
  fs::copy_file(one.options.out / "measured.jsonl", folder / "out/measured.jsonl",
                fs::copy_options::overwrite_existing);
  const auto bytes = fs::file_size(folder / "out/measured.jsonl");
  options.stop = {};
  options.on_progress = {};
  const PlanSearchReport again = search_plan(demo(), options);
  EXPECT_EQ(again.found.best->plan, one.report.found.best->plan);
  EXPECT_EQ(again.found.best->nll, one.report.found.best->nll);
  EXPECT_EQ(fs::file_size(folder / "out/measured.jsonl"), bytes) << "nothing was measured again";
  options.seed = 7;
  EXPECT_NE(sentence_of([&] { search_plan(demo(), options); }).find("another model, data, plan, seed"),
            std::string::npos);
}

// A machine on which a product costs as much for one row as for many: only what leaves whole products out saves time.
TEST(PlanSearchRun, PredictsTimeByTheMachinesSpeed) {
  PlanSearchOptions options = searched().options;
  const lithe::test::TemporaryFolder folder;
  options.out = folder / "out";
  fs::create_directories(options.out);
  fs::copy_file(searched().options.out / "measured.jsonl", options.out / "measured.jsonl");
  options.metric = BudgetMetric::time;
  options.speed =
      plan::MachineSpeed{.products = {{1e6, 1e18}}, .attention = 1e15, .bytes = 1e15, .values = 1e15, .call = 1e-3};
  const BudgetResult found = search_plan(demo(), options).found;
  ASSERT_TRUE(found.best);
  EXPECT_LE(found.best->cost_share, 0.5);
  EXPECT_FALSE(found.even) << "tokens save nothing";
  int64_t left_out = 0;
  for (const plan::LayerPlan& layer : found.best->plan.layers)
    left_out += !layer.self_attention || (!layer.rules.empty() && layer.rules[0].group == plan::Group::all) ? 1 : 0;
  EXPECT_GE(left_out, 6);
}

TEST(PlanSearchRun, RefusesABasePlanWhoseLayersDependOnEachOther) {
  PlanSearchOptions options = searched().options;
  options.out /= "refused";
  for (const char* plan : {"fastv", "k-norm", "visionzip"}) {
    options.plan = plan;
    EXPECT_NE(sentence_of([&] { search_plan(demo(), options); }).find("a search under a budget begins with"),
              std::string::npos)
        << plan;
  }
}

}  // namespace
}  // namespace lithe::tune
