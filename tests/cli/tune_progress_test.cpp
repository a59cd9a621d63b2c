#include "cli/tune_progress.h"

#include <gtest/gtest.h>

namespace lithe::cli {
namespace {

TEST(TuneProgress, SaysHowFarHowFastAndHowLong) {
  TuneProgress progress;
  const tune::StepReport first{
      .step = 120, .steps = 2000, .loss = 0.53172, .rows = 1840, .seconds = 1, .kept_share = 0.5375};
  EXPECT_EQ(progress.line(first), "120/2000 (6 %), loss 0.532, 1840 tokens/s, kept 54 %, 31 min left");
  tune::StepReport second = first;
  second.step = 121;
  second.seconds = 3;
  second.kept_share = 1;
  EXPECT_EQ(progress.line(second), "121/2000 (6 %), loss 0.532, 920 tokens/s, 1 h 2 min left");
}

TEST(TuneProgress, ASlowFirstStepIsForgotten) {
  TuneProgress progress;
  tune::StepReport step{.step = 1, .steps = 1000, .loss = 1, .rows = 100, .seconds = 60};
  progress.line(step);
  step.seconds = 0.1;
  std::string line;
  for (step.step = 2; step.step <= 300; ++step.step) line = progress.line(step);
  EXPECT_EQ(line, "300/1000 (30 %), loss 1.000, 1000 tokens/s, 1 min left");
  step.step = step.steps;
  EXPECT_EQ(progress.line(step), "1000/1000 (100 %), loss 1.000, 1000 tokens/s");
}

TEST(Duration, IsReadable) {
  EXPECT_EQ(duration_text(0.4), "0 s");
  EXPECT_EQ(duration_text(59.9), "59 s");
  EXPECT_EQ(duration_text(60), "1 min");
  EXPECT_EQ(duration_text(12000), "3 h 20 min");
}

}  // namespace
}  // namespace lithe::cli
