#include "tune/plan_search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "base/error.h"
#include "plan/cost.h"
#include "sentence_of.h"
#include "temporary_folder.h"
#include "tune/measured_file.h"
#include "tune/plan_search_files.h"

namespace lithe::tune {
namespace {

using lithe::test::sentence_of;

/// Five layers. The first ones lose more than the last ones, and two neighbours that both skip lose much more.
class BudgetSearchTest : public testing::Test {
 protected:
  BudgetSearchTest() : model_(plan::shape_named("llava-1.5-7b")) {
    model_.layers = 5;
    task_ = {.moves = plan::moves_of({}, model_, "uniform"), .budget = 0.4};
    prompt_ = plan::prompt_of(model_, 576, 40);
    prompt_.tiles = 0;
  }

  double cost(const plan::Plan& plan) const {
    const plan::CostTable table = plan::cost(plan, model_, prompt_);
    return (table.total.decoder + table.total.head) / (table.dense.decoder + table.dense.head);
  }

  double nll(const plan::Plan& plan) const {
    std::vector<double> skipped(5, 0);
    for (std::size_t layer = 0; layer < 5; ++layer) {
      plan::Plan one;
      if (const plan::LayerPlan* entry = plan.find("decoder", static_cast<int64_t>(layer))) one.layers = {*entry};
      skipped[layer] = 5 * (1 - cost(one));
    }
    double sum = 1;
    for (std::size_t layer = 0; layer < 5; ++layer) {
      sum += 0.1 * std::pow(0.5, static_cast<double>(layer)) * skipped[layer];
      if (layer > 0) sum += 2 * skipped[layer] * skipped[layer - 1] * (layer == 4 ? 1.0 : 0.1);
    }
    return sum;
  }

  BudgetModel searched() {
    return {.cost = [this](const plan::Plan& plan) { return cost(plan); },
            .nll =
                [this](const plan::Plan& plan) {
                  ++trials_;
                  return nll(plan);
                },
            .even = [this](double share) -> std::optional<plan::Plan> {
              for (double keep = 1; keep >= 0; keep -= 0.01) {
                const plan::Plan plan = plan::evenly_kept({}, model_, "uniform", keep);
                if (cost(plan) <= share) return plan;
              }
              return std::nullopt;
            }};
  }

  plan::ModelFacts model_;
  plan::PromptShape prompt_;
  BudgetTask task_;
  int64_t trials_ = 0;
};

TEST_F(BudgetSearchTest, FindsAPlanWithinTheBudgetThatBeatsOneThatTreatsLayersAlike) {
  for (const double budget : {0.3, 0.4, 0.6, 0.8}) {
    task_.budget = budget;
    const BudgetResult result = search_budget(task_, searched());
    ASSERT_TRUE(result.best && result.even);
    EXPECT_LE(result.best->cost_share, budget + 1e-9);
    EXPECT_DOUBLE_EQ(result.best->cost_share, cost(result.best->plan));
    EXPECT_DOUBLE_EQ(result.best->nll, nll(result.best->plan));
    EXPECT_LE(result.even->cost_share, budget + 1e-9);
    EXPECT_LT(result.best->nll, result.even->nll);
  }
}

/// What the additive model alone would choose.
TEST_F(BudgetSearchTest, MeasuredCombinationsCorrectTheAdditiveModel) {
  const BudgetResult result = search_budget(task_, searched());
  MoveValues costs;
  for (std::size_t layer = 0; layer < task_.moves.size(); ++layer) {
    std::vector<double>& own = costs.emplace_back();
    for (std::size_t move = 0; move < task_.moves[layer].size(); ++move) {
      plan::Combination one(5, 0);
      one[layer] = move;
      own.push_back(cost(plan::combined({}, task_.moves, one, "")) - 1);
    }
  }
  const auto additive = cheapest_loss(result.added, costs, task_.budget - 1);
  ASSERT_TRUE(additive);
  EXPECT_LT(result.best->nll, nll(plan::combined({}, task_.moves, *additive, "")) - 0.05);
}

TEST_F(BudgetSearchTest, TheFrontHoldsNoPlanThatIsDearerAndWorse) {
  const BudgetResult result = search_budget(task_, searched());
  ASSERT_GT(result.front.size(), 4u);
  for (std::size_t i = 1; i < result.front.size(); ++i) {
    EXPECT_GT(result.front[i].cost_share, result.front[i - 1].cost_share);
    EXPECT_LT(result.front[i].nll, result.front[i - 1].nll);
  }
  EXPECT_EQ(result.front.back().nll, result.base.nll) << "dense loses least here";
  EXPECT_EQ(result.tried, trials_);
}

TEST_F(BudgetSearchTest, ABudgetThatNoPlanMeetsIsRefused) {
  task_.budget = 0.001;
  EXPECT_NE(sentence_of([&] { search_budget(task_, searched()); }).find("give a larger --budget"), std::string::npos);
  EXPECT_EQ(trials_, 0);
}

TEST_F(BudgetSearchTest, StopsBetweenTrials) {
  const BudgetResult result = search_budget(task_, searched(), {}, [this] { return trials_ == 3; });
  EXPECT_TRUE(result.stopped);
  EXPECT_FALSE(result.best);
  EXPECT_EQ(trials_, 3);
}

TEST_F(BudgetSearchTest, TellsHowFarItIs) {
  int64_t last = 0, expected = 0;
  search_budget(task_, searched(), [&](const BudgetProgress& progress) {
    EXPECT_EQ(progress.tried, last + 1);
    EXPECT_LE(progress.tried, progress.expected);
    last = progress.tried;
    expected = progress.expected;
  });
  EXPECT_EQ(last, trials_);
  EXPECT_LT(expected, 2 * last);
}

TEST_F(BudgetSearchTest, TheChartHasBothCurves) {
  const BudgetResult result = search_budget(task_, searched());
  const LineChart chart = budget_chart(result, BudgetMetric::kv);
  EXPECT_EQ(chart.x_label, "kv, % of dense");
  ASSERT_EQ(chart.series.size(), 2u);
  EXPECT_EQ(chart.series[0].x.size(), result.front.size());
  EXPECT_NE(svg_of(chart).find("the same share in all layers"), std::string::npos);
}

TEST(MeasuredFile, IsContinued) {
  const lithe::test::TemporaryFolder folder;
  const plan::Plan dense,
      half{.name = "half", .layers = {{.layer = 1, .rules = {{.keep_share = 0.5, .by = "uniform"}}}}};
  const Json settings = {{"model", "m"}};
  {
    MeasuredFile file(folder / "measured.jsonl", settings);
    EXPECT_FALSE(file.find(dense));
    file.add(dense, 0.1);
    file.add(half, 1.0 / 3);
  }
  std::ofstream(folder / "measured.jsonl", std::ios::app) << R"({"nll": 2, "lay)";  // a kill
  MeasuredFile file(folder / "measured.jsonl", settings);
  EXPECT_EQ(file.find(dense), 0.1);
  plan::Plan renamed = half;
  renamed.name = "another name";
  EXPECT_EQ(file.find(renamed), 1.0 / 3);
  renamed.layers[0].layer = 2;
  EXPECT_FALSE(file.find(renamed));
}

TEST(MeasuredFile, OfAnotherSearchIsRefused) {
  const lithe::test::TemporaryFolder folder;
  { MeasuredFile file(folder / "measured.jsonl", {{"model", "m"}}); }
  const auto refusal = [&](const Json& settings) {
    return sentence_of([&] { MeasuredFile(folder / "measured.jsonl", settings); });
  };
  EXPECT_NE(refusal({{"model", "n"}}).find("holds a search with another model"), std::string::npos);
  std::ofstream(folder / "measured.jsonl") << "some text\n";
  EXPECT_NE(refusal({{"model", "m"}}).find("is not what a search measured"), std::string::npos);
}

}  // namespace
}  // namespace lithe::tune
