#include "tune/search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"

namespace lithe::tune {
namespace {

constexpr int64_t kDecoderLayers = 6;

/// A plan with a rule in layers 1 and 3, and the attention of layer 4 off.
plan::Plan base_plan() {
  plan::Plan base{.name = "base"};
  const plan::Rule half{.keep_share = 0.5};
  base.layers = {{.layer = 1, .rules = {half}}, {.layer = 3, .rules = {half}}, {.layer = 4, .self_attention = false}};
  return base;
}

SearchTask task_of(int64_t skipped) {
  SearchTask task{.base = base_plan(), .skipped = skipped, .warm_up = 4, .steps = 600, .seed = 7};
  task.candidates = self_attentions(task.base, "decoder", kDecoderLayers);
  return task;
}

bool runs(const plan::Plan& plan, int64_t layer) {
  const plan::LayerPlan* entry = plan.find("decoder", layer);
  return !entry || entry->self_attention;
}

/// A model in which attention 0 and 5 do nothing and each other costs 0.2 to miss; training makes it better.
struct Pretender {
  int64_t trained = 0, compared = 0;
  std::vector<plan::Plan> seen;

  static double cost(const plan::Plan& plan) {
    double loss = 0.1;
    for (int64_t layer = 1; layer < 4; ++layer) loss += runs(plan, layer) ? 0 : 0.2;
    return loss;
  }
  SearchModel model() {
    return {.train =
                [this](const plan::Plan& plan) {
                  ++trained;
                  seen.push_back(plan);
                  return cost(plan) + 1.0 / static_cast<double>(trained);
                },
            .begin_comparison = [this](RedundancySettings::Samples) { ++compared; },
            .loss = cost};
  }
};

TEST(Search, CandidatesAreTheAttentionsThatThePlanLeavesOn) {
  std::vector<int64_t> layers;
  for (const Candidate& candidate : task_of(2).candidates) layers.push_back(candidate.site.layer);
  EXPECT_EQ(layers, (std::vector<int64_t>{0, 1, 2, 3, 5}));
}

TEST(Search, ADrawIsThePlanWithoutItsAttentions) {
  const SearchTask task = task_of(2);
  const plan::Plan plan = without(task.base, task.candidates, {1, 2, 4});
  std::vector<int64_t> layers;
  for (const plan::LayerPlan& entry : plan.layers) layers.push_back(entry.layer);
  EXPECT_EQ(layers, (std::vector<int64_t>{1, 2, 3, 4, 5}));  // ascending
  for (int64_t layer = 0; layer < kDecoderLayers; ++layer)
    EXPECT_EQ(runs(plan, layer), layer == 0 || layer == 3) << layer;
  EXPECT_EQ(plan.find("decoder", 1)->rules, task.base.find("decoder", 1)->rules);

  std::vector<Candidate> cross(1);  // not braced: g++ 12 takes the temporary for uninitialized
  cross[0].site.stream = "text";
  cross[0].attention = "cross";
  EXPECT_FALSE(without({}, cross, {0}).find("text", 0)->cross_attention);
  EXPECT_TRUE(without({}, cross, {0}).find("text", 0)->self_attention);
}

TEST(Search, FindsWhatIsRedundantAndKeepsTheRulesOfThePlan) {
  Pretender pretender;
  Search search(task_of(2), {});
  std::vector<int64_t> first;
  search.run(pretender.model(), [&](const SearchProgress& progress) {
    EXPECT_EQ(progress.step, pretender.trained);
    EXPECT_EQ(progress.steps, 600);
    EXPECT_EQ(progress.comparisons, pretender.compared);
    EXPECT_EQ(progress.ranking.size(), 5u);
    first.push_back(progress.ranking.front());
  });
  EXPECT_EQ(pretender.trained, 600);
  const plan::Plan plan = search.plan();
  for (int64_t layer = 0; layer < kDecoderLayers; ++layer)
    EXPECT_EQ(runs(plan, layer), layer != 0 && layer != 4 && layer != 5) << layer;
  EXPECT_EQ(plan.find("decoder", 3)->rules, base_plan().find("decoder", 3)->rules);
  for (const plan::Plan& seen : pretender.seen) EXPECT_FALSE(runs(seen, 4));
  EXPECT_EQ(static_cast<int64_t>(first.size()), 600);
}

TEST(Search, ReportsEveryCandidateAndEveryDraw) {
  Pretender pretender;
  SearchTask task = task_of(2);
  task.steps = 10;
  Search search(task, {});
  search.run(pretender.model());
  const Json report = search.report();
  ASSERT_EQ(report.at("ranking").size(), 5u);
  double before = std::numeric_limits<double>::infinity();
  int skipped = 0;
  for (const Json& site : report.at("ranking")) {
    EXPECT_LE(site.at("score").get<double>(), before);
    before = site.at("score").get<double>();
    skipped += site.at("skipped").get<bool>() ? 1 : 0;
    EXPECT_EQ(runs(search.plan(), site.at("layer").get<int64_t>()), !site.at("skipped").get<bool>());
  }
  EXPECT_EQ(skipped, 2);
  // Compared after steps 4, 7 and 10, five draws each: there are ten pairs.
  EXPECT_EQ(report.at("draws").size(), 10u + 3 * 5);
  EXPECT_EQ(report.at("comparisons"), 3);
  const SearchTask same = task_of(2);
  for (const Json& draw : report.at("draws")) {
    if (draw.at("kind") != "compare") continue;
    const plan::Plan plan = without(same.base, same.candidates, draw.at("skips").get<Draw>());
    EXPECT_EQ(draw.at("loss").get<double>(), Pretender::cost(plan));
  }
}

TEST(Search, StopsWhenAskedAndGoesOnFromItsState) {
  Pretender whole, begun, rest;
  SearchTask task = task_of(2);
  task.steps = 40;
  Search one(task, {}), first(task, {}), second(task, {});
  one.run(whole.model());
  first.run(begun.model(), {}, [&] { return begun.trained == 13; });
  EXPECT_EQ(begun.trained, 13);
  EXPECT_FALSE(first.done());
  second.restore(parse_json(first.state().dump(), "state"), "state");
  rest.trained = 13;  // so that its training losses are those of step 14 on
  second.run(rest.model());
  EXPECT_TRUE(second.done());
  EXPECT_EQ(second.report(), one.report());
  EXPECT_EQ(second.plan(), one.plan());
  Json broken = first.state();
  broken.erase("draws");
  EXPECT_THROW(second.restore(broken, "state"), Error);
}

TEST(Search, EpochsBeginTheCountToTheNextComparisonAnew) {
  Pretender pretender;
  SearchTask task = task_of(2);
  task.warm_up = 0;
  task.steps = 33;
  task.epoch = 16;
  std::vector<int64_t> steps;
  Search search(task, redundancy_settings("lavin"));
  int64_t before = 0;
  search.run(pretender.model(), [&](const SearchProgress& progress) {
    if (progress.comparisons != before) steps.push_back(progress.step);
    before = progress.comparisons;
  });
  EXPECT_EQ(steps, (std::vector<int64_t>{10, 26}));
}

TEST(Search, SaysThatNothingWasCompared) {
  Pretender pretender;
  Search search(task_of(2), {});
  search.run(pretender.model(), {}, [] { return true; });
  EXPECT_THROW(search.plan(), Error);
  SearchTask task = task_of(2);
  task.warm_up = task.steps;
  EXPECT_THROW(Search(task, {}), Error);
  EXPECT_THROW(Search(task_of(5), {}), Error);
}

TEST(Search, ALossThatIsNoNumberIsWrittenAsNull) {
  SearchTask task = task_of(2);
  task.steps = 5;
  Search search(task, {});
  const auto none = [](const plan::Plan&) { return std::nan(""); };
  search.run({.train = none, .loss = none});
  EXPECT_TRUE(search.report().at("draws").at(0).at("loss").is_null());
  EXPECT_NO_THROW(search.report().dump());
}

}  // namespace
}  // namespace lithe::tune
