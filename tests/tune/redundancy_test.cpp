#include "tune/redundancy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/error.h"

namespace lithe::tune {
namespace {

// Published searches are replayed by tests/golden/eas_search.cpp.

/// Teaches what the loss is with this site skipped and without.
void push(Redundancy& search, int64_t site, double loss_with, double loss_without) {
  search.learn(std::vector<JudgedDraw>{{{site}, loss_with}, {{}, loss_without}});
}

TEST(Redundancy, DrawsByTheProbabilitiesWithoutReplacement) {
  // P({a, b}) = p_a p_b / (1 - p_a) + p_b p_a / (1 - p_b), with p over the sum of all p.
  for (const std::string name : {"lavin", "llava"}) {
    RedundancySettings settings = redundancy_settings(name);
    settings.rate = name == "lavin" ? 1 : 8;
    Redundancy search({.sites = 4, .skipped = 2, .seed = 5}, settings);
    push(search, 0, 0.1, 3);
    push(search, 2, 5, 0);
    std::vector<double> p = search.probabilities();
    double sum = 0;
    for (const double value : p) sum += value;
    for (double& value : p) value /= sum;
    EXPECT_GT(p[0], p[1]);
    EXPECT_LT(p[2], p[1]);
    constexpr int kTimes = 20000;
    std::map<Draw, int> counts;
    for (int i = 0; i < kTimes; ++i) ++counts[search.begin_step()];
    EXPECT_EQ(counts.size(), 6u);
    for (const auto& [draw, count] : counts) {
      const double a = p[static_cast<size_t>(draw[0])], b = p[static_cast<size_t>(draw[1])],
                   wanted = a * b / (1 - a) + a * b / (1 - b);
      EXPECT_NEAR(static_cast<double>(count) / kTimes, wanted, 5 * std::sqrt(wanted / kTimes)) << name;
    }
  }
}

TEST(Redundancy, FindsTheSitesThatCostNothing) {
  // Skipping site i adds i / 10 to the loss: the first three are the redundant ones.
  for (const std::string name : {"ours", "lavin", "llava", "meter"}) {
    Redundancy search({.sites = 8, .skipped = 3, .warm_up = 5, .seed = 3}, redundancy_settings(name));
    for (int step = 0; step < 1500; ++step) {
      search.begin_step();
      if (!search.evaluation_due()) continue;
      std::vector<JudgedDraw> judged;
      for (const Draw& draw : search.candidates()) {
        judged.push_back({draw, 0});
        for (const int64_t site : draw) judged.back().loss += 0.1 * static_cast<double>(site);
      }
      search.learn(judged);
    }
    EXPECT_EQ(search.most_redundant(), (Draw{0, 1, 2})) << name;
  }
}

TEST(Redundancy, CandidatesAreDistinctAndNoMoreThanThereAre) {
  Redundancy search({.sites = 4, .skipped = 3, .seed = 9}, {.draws = 5, .ramp = false});
  search.begin_step();
  std::vector<Draw> draws = search.candidates();
  EXPECT_EQ(draws.size(), 4u);  // of 5 wanted, 4 exist
  std::sort(draws.begin(), draws.end());
  EXPECT_EQ(std::unique(draws.begin(), draws.end()), draws.end());
}

TEST(Redundancy, IsDueAfterTheWarmUpAndThenEveryInterval) {
  Redundancy search({.sites = 6, .skipped = 2, .warm_up = 5}, {.interval = 3});
  std::vector<int64_t> due;
  for (int step = 1; step <= 13; ++step) {
    search.begin_step();
    if (!search.evaluation_due()) continue;
    due.push_back(step);
    search.learn({});
  }
  EXPECT_EQ(due, (std::vector<int64_t>{5, 8, 11}));
}

TEST(Redundancy, GoesOnFromItsStateAsIfItHadNotStopped) {
  const RedundancyTask task{.sites = 7, .skipped = 3, .warm_up = 2, .seed = 11};
  Redundancy whole(task, {}), begun(task, {});
  const auto steps = [](Redundancy& search, int count) {
    std::vector<Draw> drawn;
    for (int i = 0; i < count; ++i) {
      drawn.push_back(search.begin_step());
      if (!search.evaluation_due()) continue;
      std::vector<JudgedDraw> judged;
      for (const Draw& draw : search.candidates()) judged.push_back({draw, 0.3 * static_cast<double>(draw[0] + 1)});
      search.learn(judged);
    }
    return drawn;
  };
  steps(whole, 8);
  steps(begun, 8);
  Redundancy resumed(task, {});
  resumed.restore(parse_json(begun.state().dump(), "state"), "state");
  EXPECT_EQ(steps(whole, 20), steps(resumed, 20));
  EXPECT_EQ(whole.scores(), resumed.scores());

  Redundancy other({.sites = 7, .skipped = 2, .warm_up = 2, .seed = 11}, {});
  EXPECT_THROW(other.restore(begun.state(), "state"), Error);
  Json broken = begun.state();
  broken["random"] = "soup";
  EXPECT_THROW(resumed.restore(broken, "state"), Error);
  broken = begun.state();
  broken["scores"] = {1, 2};
  EXPECT_THROW(resumed.restore(broken, "state"), Error);
  broken["scores"] = {1, 2, 3, 4, 5, 6, "soup"};
  EXPECT_THROW(resumed.restore(broken, "state"), Error);
  broken.erase("scores");
  EXPECT_THROW(resumed.restore(broken, "state"), Error);
}

TEST(Redundancy, ALossThatIsNoNumberIsTheWorst) {
  Redundancy search({.sites = 3, .skipped = 1}, {});
  search.learn(std::vector<JudgedDraw>{{{0}, std::numeric_limits<double>::quiet_NaN()}, {{1}, 0.5}, {{2}, 1.0}});
  EXPECT_EQ(search.ranking(), (std::vector<int64_t>{1, 2, 0}));
  for (const double score : search.scores()) EXPECT_TRUE(std::isfinite(score));
}

TEST(Redundancy, RefusesWhatIsNoSearch) {
  const auto fails = [](const RedundancyTask& task, const RedundancySettings& settings) {
    EXPECT_THROW(Redundancy(task, settings), Error);
  };
  fails({.sites = 4, .skipped = 4}, {});
  fails({.sites = 4, .skipped = 0}, {});
  fails({.sites = 4, .skipped = 2, .warm_up = -1}, {});
  fails({.sites = 4, .skipped = 2}, {.interval = 0});
  fails({.sites = 4, .skipped = 2}, {.draws = 1});
  EXPECT_THROW(redundancy_settings("vqa"), Error);
}

}  // namespace
}  // namespace lithe::tune
