#include <gtest/gtest.h>
#include <filesystem>

#include "base/json.h"
#include "cli/program.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

const std::string kData = LITHE_TEST_DATA "/benchmarks/";

/// The folder of a run over the first questions of a benchmark.
std::string run_of(const std::string& name, const std::string& task, const std::string& limit,
                   std::vector<std::string> more = {}) {
  const fs::path folder = scratch() / name;
  fs::remove_all(folder);
  std::vector<std::string> arguments{"eval", "demo",          "--task", task, "--data",  kData + task,
                                     "-o",   folder.string(), "-n",     "3",  "--limit", limit};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Ran ran = lithe(arguments);
  EXPECT_EQ(ran.code, 0) << ran.err;
  return folder.string();
}

TEST(CompareRuns, TellsTheDifference) {
  const std::string first = run_of("compare-a", "mme", "6"),
                    second = run_of("compare-b", "mme", "4", {"--plan", "dense"});
  const Ran ran = lithe({"compare", first, second, "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json result = parse_json(ran.out, "compare");
  EXPECT_EQ(result.at("questions"), 4);
  EXPECT_EQ(result.at("left_out"), 2);
  EXPECT_EQ(result.at("second").at("plan"), "dense");
  EXPECT_NEAR(result.at("difference").get<double>(),
              result.at("second").at("score").get<double>() - result.at("first").at("score").get<double>(), 1e-9);
  EXPECT_LE(result.at("low"), result.at("difference"));
  EXPECT_GE(result.at("high"), result.at("difference"));
  const Ran table = lithe({"compare", first, second});
  EXPECT_NE(table.out.find("B - A"), std::string::npos);
  EXPECT_NE(table.err.find("2 answers"), std::string::npos) << table.err;
}

TEST(CompareRuns, OtherRunsAreRefused) {
  const std::string first = run_of("compare-c", "mme", "1"), other = run_of("compare-d", "gqa", "1");
  const Ran ran = lithe({"compare", first, other});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("another task"), std::string::npos) << ran.err;
  const Ran absent = lithe({"compare", first, first + "-absent"});
  EXPECT_EQ(absent.code, 3);
  EXPECT_NE(absent.err.find("holds no run"), std::string::npos) << absent.err;
}

}  // namespace
}  // namespace lithe::cli
