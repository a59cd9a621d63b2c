#include "tune/run_files.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "tune/markup.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;

StepRecord record_of(int64_t step) {
  return {
      .step = step, .loss = 1.0 / static_cast<double>(step), .grad_norm = 1, .lr = 1e-3, .tokens = 10, .seconds = 1};
}

std::string contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

int64_t files_in(const fs::path& folder) {
  return fs::exists(folder) ? std::distance(fs::directory_iterator(folder), fs::directory_iterator()) : 0;
}

class RunFilesTest : public testing::Test {
 protected:
  void SetUp() override { fs::remove_all(folder_); }
  void TearDown() override { fs::remove_all(folder_); }

  Recipe recipe(const std::string& more) const {
    return parse_recipe(
        "model_name_or_path: models/demo-dense/\ndata: a\noutput_dir: " + folder_.string() + "\n" + more, "r");
  }

  const fs::path folder_ = fs::path(testing::TempDir()) / "run_files_test";
};

TEST_F(RunFilesTest, TheReportOfAResumedRunHasAllItsSteps) {
  const Recipe whole = recipe("p_mod: {}\nlogging_steps: 2");
  {
    RunFiles files(whole, 0);
    for (int64_t step = 1; step <= 5; ++step) files.step(record_of(step));
    files.report({}, {});
  }
  RunFiles files(whole, 3);  // the checkpoint at step 3
  files.step(record_of(4));
  files.searched({.title = "Redundancy of attentions", .bars = {{.label = "0", .value = 0.1}}});
  files.report({{"time", "4 s"}}, {{"val 1", "q", "a", "a", true}});
  EXPECT_EQ(read_step_log(folder_ / "log.jsonl").size(), 4u);
  EXPECT_EQ(files_in(folder_ / "runs"), 2);
  const std::string html = contents(folder_ / "report.html");
  EXPECT_EQ(lithe::test::fault_of_markup(html), "");
  for (const char* part : {"demo-dense: p-MoD", "4 s", "val 1", "Redundancy", "p_mod.schedule"})
    EXPECT_NE(html.find(part), std::string::npos) << part;
}

TEST_F(RunFilesTest, TensorBoardGetsEveryNthStepAndEachEvaluation) {
  const Recipe sparse = recipe("logging_steps: 4");
  RunFiles files(sparse, 0);
  const fs::path events = fs::directory_iterator(folder_ / "runs")->path();
  const auto grows = [&](const StepRecord& step) {
    const auto before = fs::file_size(events);
    files.step(step);
    return fs::file_size(events) > before;
  };
  EXPECT_FALSE(grows(record_of(1)));
  StepRecord evaluated = record_of(2);
  evaluated.more["eval_loss"] = 0.5;
  EXPECT_TRUE(grows(evaluated));
  EXPECT_FALSE(grows(record_of(3)));
  EXPECT_TRUE(grows(record_of(4)));
}

TEST_F(RunFilesTest, WritesOnlyWhatIsAskedFor) {
  const Recipe quiet = recipe("report_to: none");
  RunFiles files(quiet, 0);
  files.step(record_of(10));
  files.report({}, {});
  EXPECT_EQ(files_in(folder_), 1) << "the log";
}

}  // namespace
}  // namespace lithe::tune
