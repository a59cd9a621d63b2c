// `lithe search` as its users meet it.
#include "cli/search_table.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/json.h"
#include "cli/program.h"
#include "cli/terminal.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

const std::string kModel = LITHE_TEST_DATA "/golden/liuhaotian_llava15/checkpoint";
const std::string kData = LITHE_TEST_DATA "/golden/pmod_train/inputs/data.json";

/// A search over three samples, with further flags.
Ran search(const fs::path& out, std::vector<std::string> flags) {
  flags.insert(flags.begin(), {"search", kModel, "--data", kData, "-o", out.string()});
  return lithe(flags);
}

TEST(SearchCommand, PrintsTheRankingAsItFormsAndWritesWhatItFound) {
  const fs::path out = fresh("search-found");
  const Ran ran = search(out, {"--skip", "1", "--steps", "4"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("step 2/4: loss "), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("3 comparisons; most redundant: "), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("layer      score  probability  drawn\n"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("eas: {skip: ["), std::string::npos) << ran.out;
  EXPECT_NE(ran.err.find("note: the search compares draws on 1 sample "), std::string::npos) << ran.err;
  for (const char* file : {"plan.json", "scores.json", "redundancy.svg", "log.jsonl"})
    EXPECT_TRUE(fs::exists(out / file)) << file;
  const Ran planned = lithe({"run", kModel, "--plan", (out / "plan.json").string(), "-n", "1", "Hello"});
  EXPECT_EQ(planned.code, 0) << planned.err;
  const Ran again = search(out, {"--skip", "1", "--steps", "4"});
  EXPECT_EQ(again.code, 2);
  EXPECT_NE(again.err.find("name another folder"), std::string::npos) << again.err;
}

TEST(SearchCommand, TheSameSeedFindsTheSame) {
  const auto scores = [](const char* name, const char* seed) {
    const fs::path out = fresh(name);
    const Ran ran = search(out, {"--skip", "2", "--steps", "4", "--seed", seed, "--eval-data", kData, "--json"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_TRUE(ran.err.starts_with("note: each attention was in ")) << ran.err;  // so few draws
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    return contents(out / "scores.json");
  };
  const std::string first = scores("search-seed-1", "3");
  EXPECT_EQ(scores("search-seed-2", "3"), first);
  EXPECT_NE(scores("search-seed-3", "4"), first);
}

TEST(SearchCommand, TheFolderOfABenchmarkIsData) {
  const std::string data = LITHE_TEST_DATA "/tasks/scienceqa";
  const auto search_in = [&](const fs::path& out, std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"search", kModel, "--data", data, "-o", out.string()});
    return lithe(flags);
  };
  const fs::path out = fresh("search-task");
  const Ran ran =
      search_in(out, {"--task", "scienceqa", "--split", "test", "--eval-split", "val", "--skip", "1", "--steps", "2"});
  EXPECT_EQ(ran.code, 3);  // there is no such part
  EXPECT_NE(ran.err.find("The split \"val\" of scienceqa"), std::string::npos) << ran.err;
  const Ran skip = search_in(fresh("search-task"), {"--task", "scienceqa", "--split", "test", "--eval-split", "train",
                                                    "--skip", "1", "--steps", "2"});
  ASSERT_EQ(skip.code, 0) << skip.err;
  EXPECT_TRUE(fs::exists(out / "plan.json"));
  const Ran budget = search_in(fresh("search-task-budget"), {"--task", "scienceqa", "--budget", "0.9", "--json"});
  ASSERT_EQ(budget.code, 0) << budget.err;
  EXPECT_EQ(parse_json(budget.out, "search").at("samples"), 3);
  for (const std::vector<std::string>& how : {std::vector<std::string>{"--skip", "1"}, {"--budget", "0.9"}}) {
    const Ran plain = search_in(fresh("search-task-plain"), how);
    EXPECT_EQ(plain.code, 2);
    EXPECT_NE(plain.err.find("is the folder of the benchmark scienceqa"), std::string::npos) << plain.err;
  }
  EXPECT_NE(search_in(out, {"--split", "test", "--skip", "1"}).err.find("name it with --task"), std::string::npos);
}

TEST(SearchCommand, SearchesUnderTheRulesOfAPlan) {
  const fs::path out = fresh("search-plan");
  const Ran ran = search(out, {"--skip", "1", "--steps", "2", "--plan", "shortv"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json plan = read_json_file(out / "plan.json");
  int64_t off = 0, ruled = 0;
  for (const Json& layer : plan.at("layers")) {
    off += layer.contains("attention") && layer.at("attention").dump().find("off") != std::string::npos ? 1 : 0;
    ruled += layer.contains("rules") && !layer.at("rules").empty() ? 1 : 0;
  }
  EXPECT_EQ(off, 1);
  EXPECT_GT(ruled, 0);
}

// A limit that no machine reaches: it only plans the steps.
TEST(SearchCommand, ABudgetKeepsStepsThatFit) {
  const Ran ran = search(fresh("search-budget"), {"--skip", "1", "--steps", "2", "--budget", "600", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(parse_json(ran.out, "stdout").at("steps"), 2);
  EXPECT_NE(ran.err.find("plans 2 steps"), std::string::npos) << ran.err;
}

TEST(SearchCommand, SaysWhatIsWrong) {
  const auto refused = [](const std::vector<std::string>& flags, int code, const char* words) {
    const Ran ran = search(fresh("search-refused"), flags);
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_EQ(ran.out, "");
    EXPECT_NE(ran.err.find(words), std::string::npos) << ran.err;
  };
  refused({}, 2, "--skip");
  refused({"--skip", "0"}, 2, "--skip");
  refused({"--skip", "99", "--steps", "2"}, 2, "skip 99 of 4");
  refused({"--skip", "1", "--budget", "0"}, 2, "--budget");
  refused({"--skip", "1", "--budget", "1e-9"}, 2, "more time");
  refused({"--skip", "1", "--plan", "no-such-plan"}, 2, "no-such-plan");
  refused({"--skip", "1", "--plan", "p-mod"}, 2, "router");
  refused({"--skip", "1", "--lora", "x"}, 2, "lithe fold");
  refused({"--skip", "1", "--mmproj", "x"}, 2, "leave out --mmproj");
  refused({"--skip", "1", "--eval-data", "no-such.json"}, 3, "no-such.json");
  refused({"--skip", "1", "--steps", "2", "--metric", "kv"}, 2, "--metric and --samples are for the search for a plan");
  refused({"--budget", "1.5"}, 2, "above 0 and below 1");
  refused({"--budget", "0.5", "--metric", "watts"}, 2, "is not flops, time or kv");
  refused({"--budget", "0.5", "--steps", "9"}, 2, "--steps is for the search with --skip");
  refused({"--budget", "0.0001"}, 2, "give a larger --budget");
  refused({"--budget", "0.5", "--plan", "fastv"}, 2, "begins with a plan such as dense or p-mod");
  EXPECT_EQ(lithe({"search", kModel, "--skip", "1"}).code, 2);  // no data
}

/// A search over three questions about a shipped picture.
Ran search_demo(const fs::path& out, std::vector<std::string> flags) {
  const fs::path data = scratch() / "search-demo.jsonl";
  fs::copy_file(LITHE_SOURCE_DIR "/models/images/901.png", scratch() / "901.png", fs::copy_options::overwrite_existing);
  std::ofstream lines(data);
  for (const char* question : {"what is the color of the rectangle?", "is there a circle?", "is there a blue shape?"})
    lines << Json{{"image", "901.png"}, {"question", question}, {"answer", "No."}}.dump() << "\n";
  lines.close();
  flags.insert(flags.begin(), {"search", "demo-dense", "--data", data.string(), "--samples", "2", "-o", out.string()});
  return lithe(flags);
}

TEST(SearchBudgetCommand, WritesAPlanThatFits) {
  const fs::path out = fresh("search-share");
  const Ran ran = search_demo(out, {"--budget", "0.6"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("flops, % of dense"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("% of dense, nll "), std::string::npos) << ran.out;
  for (const char* file : {"plan.json", "search.json", "search.svg", "measured.jsonl"})
    EXPECT_TRUE(fs::exists(out / file)) << file;
  const Json report = read_json_file(out / "search.json");
  EXPECT_LE(report.at("best").at("cost_share"), 0.6);
  EXPECT_TRUE(fs::exists(out / report.at("front")[0].at("file").get<std::string>()));
  EXPECT_NE(ran.out.find("on 1 other sample: nll "), std::string::npos) << ran.out;
  const Ran planned = lithe({"run", "demo-dense", "--plan", (out / "plan.json").string(), "-n", "1", "Hello"});
  EXPECT_EQ(planned.code, 0) << planned.err;
  // Another budget and metric use what was measured.
  const Ran other = search_demo(out, {"--budget", "0.5", "--metric", "kv", "--json"});
  ASSERT_EQ(other.code, 0) << other.err;
  const Json json = parse_json(other.out, "search");
  EXPECT_EQ(json.at("metric"), "kv");
  EXPECT_LE(json.at("best").at("cost_share"), 0.5);
  EXPECT_EQ(json, read_json_file(out / "search.json"));
}

TEST(SearchBudgetCommand, TheTwoSearchesLeaveEachOtherAlone) {
  const fs::path skip = fresh("search-skip"), budget = fresh("search-budget");
  ASSERT_EQ(search(skip, {"--skip", "1", "--steps", "4"}).code, 0);
  ASSERT_EQ(search_demo(budget, {"--budget", "0.6"}).code, 0);
  const Ran first = search(skip, {"--budget", "0.6"}), second = search(budget, {"--skip", "1", "--steps", "4"});
  EXPECT_EQ(first.code, 2);
  EXPECT_NE(first.err.find("holds a search for redundant attentions"), std::string::npos) << first.err;
  EXPECT_EQ(second.code, 2);
  EXPECT_NE(second.err.find("holds a search under a budget"), std::string::npos) << second.err;
}

TEST(SearchCommand, ATerminalSeesATableAndCtrlCLeavesACheckpoint) {
  const fs::path out = fresh("search-terminal");
  Terminal search({"search", kModel, "--data", kData, "--skip", "1", "--steps", "100000", "-o", out.string()},
                  scratch() / "state", "xterm");
  search.until("searching: ");
  search.until("probability  drawn");
  search.until("skipped");
  search.type(kCtrlC);
  search.until("the same command goes on from there");
  EXPECT_EQ(search.exit_code(), 130);
  EXPECT_FALSE(fs::exists(out / "scores.json"));
  bool saved = false;
  for (const auto& entry : fs::directory_iterator(out))
    saved = saved || entry.path().filename().string().starts_with("checkpoint-");
  EXPECT_TRUE(saved);
}

tune::SearchReport report() {
  return {.step = 40,
          .steps = 200,
          .loss = 0.5321,
          .comparisons = 1,
          .seconds = 30,
          .ranking = {{5, 0.0123, 0.503, 17, true}, {3, -0.01, 0.4975, 9, false}}};
}

TEST(SearchTable, SaysHowFarAndWhatIsRedundant) {
  EXPECT_EQ(progress_text(report()), "40/200 (20 %), loss 0.532, 1 comparison, 2 min left");
  EXPECT_EQ(line_of(report()), "step 40/200: loss 0.532, 1 comparison; most redundant: 5 (0.0123)\n");
  EXPECT_EQ(ranking_text(report().ranking),
            "layer      score  probability  drawn\n"
            "    5    0.01230       0.5030     17  skipped\n"
            "    3   -0.01000       0.4975      9\n");
  EXPECT_EQ(ranking_text(report().ranking, 0), "layer      score  probability  drawn\n");
}

}  // namespace
}  // namespace lithe::cli
