#include <gtest/gtest.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "base/json.h"
#include "cli/program.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

const std::string kSets = LITHE_TEST_DATA "/tasks/";
const std::string kBenchmarks = LITHE_TEST_DATA "/benchmarks/";

/// The lines of a run, without the times, which differ from run to run.
std::vector<Json> samples_of(const fs::path& folder) {
  std::vector<Json> lines;
  std::istringstream in(contents(folder / "samples.jsonl"));
  for (std::string text; std::getline(in, text);) {
    Json& line = lines.emplace_back(parse_json(text, "samples.jsonl"));
    for (const char* time : {"image_ms", "prefill_ms", "decode_ms"}) line.erase(time);
  }
  return lines;
}

/// Questions about shipped pictures, which the demo model answers.
fs::path questions_in(const fs::path& folder, int64_t count) {
  fs::create_directories(folder);
  std::ofstream out(folder / "questions.jsonl");
  for (int64_t i = 0; i < count; ++i) {
    const std::string picture = i % 2 ? "506.png" : "901.png";
    fs::copy_file(fs::path(LITHE_SOURCE_DIR) / "models/images" / picture, folder / picture,
                  fs::copy_options::overwrite_existing);
    const Json line = {{"image", picture},
                       {"conversations",
                        {{{"from", "human"}, {"value", "<image>\nwhat is the color of the rectangle?"}},
                         {{"from", "gpt"}, {"value", "red"}}}}};
    out << line.dump() << "\n";
  }
  return folder / "questions.jsonl";
}

TEST(Eval, AnswersAsRunDoes) {
  const fs::path at = fresh("eval-answers"), data = questions_in(at, 4);
  const Ran ran = lithe({"eval", "demo", "--task", "exact_match", "--data", data.string(), "-o", (at / "out").string(),
                         "--batch-size", "2"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("exact match"), std::string::npos) << ran.out;
  EXPECT_NE(ran.err.find("4 answered, 0 failed, 0 answered before, 0 left"), std::string::npos) << ran.err;
  const auto samples = samples_of(at / "out");
  ASSERT_EQ(samples.size(), 4U);
  double right = 0;
  for (const Json& sample : samples) {
    const std::string picture = sample.at("question").get<int64_t>() % 2 ? "506.png" : "901.png";
    const Ran alone =
        lithe({"run", "demo", "--json", "--temp", "0", "--image",
               std::string(LITHE_SOURCE_DIR "/models/images/") + picture, "what is the color of the rectangle?"});
    ASSERT_EQ(alone.code, 0) << alone.err;
    EXPECT_EQ(sample.at("answer"), parse_json(alone.out, "run").at("answer"));
    EXPECT_EQ(sample.at("score"), sample.at("answer") == "red" ? 1.0 : 0.0);
    right += sample.at("score").get<double>();
  }
  const Json result = read_json_file(at / "out/result.json");
  EXPECT_DOUBLE_EQ(result.at("scores")[0].at("value").get<double>(), 100 * right / 4);
  EXPECT_TRUE(result.at("finished"));
}

TEST(Eval, ALineSaysWhatItsPromptCost) {
  const fs::path at = fresh("eval-cost"), data = questions_in(at, 1);
  const Ran ran =
      lithe({"eval", "demo", "--task", "exact_match", "--data", data.string(), "-o", (at / "out").string()});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json line = parse_json(contents(at / "out/samples.jsonl"), "samples.jsonl");
  EXPECT_EQ(line.at("vision_tokens"), 64);
  ASSERT_EQ(line.at("kept").size(), 12U);
  EXPECT_EQ(line.at("kept")[0], 64);
  EXPECT_LT(line.at("kept")[11], 64);
  EXPECT_GT(line.at("prefill_ms"), 0);
  const double share = line.at("flops").get<double>() / line.at("dense_flops").get<double>();
  EXPECT_GT(share, 0.4);
  EXPECT_LT(share, 0.9);
  EXPECT_DOUBLE_EQ(read_json_file(at / "out/result.json").at("counted_share").get<double>(), share);
}

TEST(EvalPlans, EveryPlanAnswersAsInARunOfItsOwn) {
  const fs::path at = fresh("eval-plans"), data = questions_in(at, 5);
  const auto call = [&](const std::string& out, const std::vector<std::string>& plans, std::vector<std::string> more) {
    more.insert(more.begin(), {"eval", "demo-dense", "--task", "exact_match", "--data", data.string(), "-n", "4", "-o",
                               (at / out).string()});
    for (const std::string& plan : plans) more.insert(more.end(), {"--plan", plan});
    return lithe(more);
  };
  const std::vector<std::string> plans = {"dense", "fastv", "visionzip"};
  ASSERT_EQ(call("all", {plans[0], plans[1]}, {"--limit", "2"}).code, 0);
  const Ran ran = call("all", plans, {"--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json result = parse_json(ran.out, "eval");
  EXPECT_EQ(result.at("schema"), "lithe-eval-plans/1");
  ASSERT_EQ(result.at("runs").size(), 3U);
  ASSERT_EQ(result.at("compared").size(), 2U);
  for (size_t i = 0; i < plans.size(); ++i) {
    ASSERT_EQ(call(plans[i], {plans[i]}, {}).code, 0);
    EXPECT_EQ(samples_of(at / "all" / plans[i]), samples_of(at / plans[i])) << plans[i];
    EXPECT_EQ(result.at("runs")[i], read_json_file(at / "all" / plans[i] / "result.json"));
    EXPECT_EQ(result.at("runs")[i].at("scores"), read_json_file(at / plans[i] / "result.json").at("scores"));
  }
  EXPECT_EQ(result.at("runs")[0].at("counted_share"), 1.0);
  EXPECT_LT(result.at("runs")[1].at("counted_share"), 1.0);
  EXPECT_EQ(result.at("compared")[1].at("first").at("plan"), "dense");
  EXPECT_EQ(result.at("compared")[1].at("second").at("plan"), "visionzip");
  EXPECT_EQ(result.at("compared")[1].at("questions"), 5);
  const Ran again = call("all", plans, {});
  EXPECT_NE(again.err.find("0 answered, 0 failed, 5 answered before"), std::string::npos) << again.err;
  EXPECT_NE(again.out.find("| operations  |       1.000 |"), std::string::npos) << again.out;
  EXPECT_NE(again.out.find("B: visionzip"), std::string::npos) << again.out;
}

TEST(EvalPlans, ComparesTheQuestionsOfTheTable) {
  const fs::path at = fresh("eval-plan-limit"), data = questions_in(at, 5);
  std::vector<std::string> call = {
      "eval",   "demo-dense", "--task", "exact_match", "--data", data.string(),         "-n",    "4",
      "--plan", "dense",      "--plan", "fastv",       "-o",     (at / "out").string(), "--json"};
  ASSERT_EQ(lithe(call).code, 0);
  call.insert(call.end(), {"--limit", "2"});
  const Json result = parse_json(lithe(call).out, "eval");
  EXPECT_EQ(result.at("runs")[1].at("questions"), 2);
  EXPECT_EQ(result.at("compared")[0].at("questions"), 2);
}

TEST(EvalPlans, SaysWhyPlansAreNotCompared) {
  const Ran ran = lithe({"eval", "demo-dense", "--task", "vqav2", "--split", "test-dev", "--data", kSets + "vqav2",
                         "-n", "2", "-o", fresh("eval-plan-secret").string(), "--plan", "dense", "--plan", "fastv"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.err.find("note: no scores: the split keeps its answers secret (plan fastv)"), std::string::npos);
  EXPECT_NE(ran.err.find("dense and fastv are not compared: "), std::string::npos) << ran.err;
  EXPECT_EQ(ran.out.find("B: fastv"), std::string::npos) << ran.out;
}

TEST(EvalPlans, NamesOfPlansStayWithinTheOutput) {
  const fs::path at = fresh("eval-plan-folders"), data = questions_in(at, 1);
  const Ran ran =
      lithe({"eval", "demo-dense", "--task", "exact_match", "--data", data.string(), "-n", "2", "-o",
             (at / "out").string(), "--plan", R"({"name": "../图|b", "method": "fastv"})", "--plan", "dense"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(fs::exists(at / "out/___图_b/result.json"));
  EXPECT_NE(ran.out.find("../图\\|b"), std::string::npos) << ran.out;
}

TEST(EvalPlans, RefusesTwoPlansOfOneName) {
  const fs::path at = fresh("eval-plan-names"), data = questions_in(at, 1);
  const Ran ran = lithe({"eval", "demo-dense", "--task", "exact_match", "--data", data.string(), "-o",
                         (at / "out").string(), "--plan", "fastv", "--plan", "fastv"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("Two of the plans would be written to"), std::string::npos) << ran.err;
  EXPECT_FALSE(fs::exists(at / "out"));
}

TEST(EvalPlans, ShardsOfAPlanAreMerged) {
  const fs::path at = fresh("eval-plan-shards");
  for (const char* shard : {"0/2", "1/2"})
    ASSERT_EQ(lithe({"eval", "demo-dense", "--task", "mme", "--data", kBenchmarks + "mme", "-o", at.string(), "-n", "3",
                     "--limit", "4", "--plan", "dense", "--plan", "fastv", "--shard", shard})
                  .code,
              0);
  const Ran ran = lithe({"merge", (at / "fastv/shard-0-of-2").string(), (at / "fastv/shard-1-of-2").string(), "-o",
                         (at / "fastv").string()});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(samples_of(at / "fastv").size(), 4U);
  EXPECT_EQ(read_json_file(at / "fastv/result.json").at("plan"), "fastv");
}

TEST(Eval, ASetWithoutQuestionsIsABadFile) {
  const fs::path at = fresh("eval-empty");
  fs::create_directories(at / "data/imgs");
  std::ofstream(at / "data/test.json") << "[]";
  const Ran ran =
      lithe({"eval", "demo", "--task", "slake", "--data", (at / "data").string(), "-o", (at / "out").string()});
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("has no questions"), std::string::npos) << ran.err;
  EXPECT_FALSE(fs::exists(at / "out"));
}

TEST(Eval, PrintsScienceQasTable) {
  const fs::path at = fresh("eval-science");
  const Ran ran = lithe(
      {"eval", "demo", "--task", "scienceqa", "--data", kSets + "scienceqa", "-o", at.string(), "-n", "4", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json result = parse_json(ran.out, "eval");
  EXPECT_EQ(result.at("schema"), "lithe-eval/1");
  EXPECT_EQ(result.at("scores").size(), 9U);
  EXPECT_EQ(result.at("scores").back().at("name"), "AVG");
  EXPECT_EQ(result, read_json_file(at / "result.json"));
  EXPECT_EQ(samples_of(at)[0].at("prompt"), "<image>\nQuestion 1?\nContext: N/A\nOptions: (A) red (B) blue (C) green");
}

TEST(Eval, EveryTaskOfWordsRuns) {
  for (const auto& [task, split] : std::map<std::string, std::string>{
           {"vqav2", "val"}, {"nlvr2", "dev"}, {"snli_ve", "test"}, {"slake", "test"}, {"aid", "test20"}}) {
    const fs::path at = fresh("eval-" + task);
    const Ran ran = lithe({"eval", "demo", "--task", task, "--data", kSets + task, "--split", split, "-o", at.string(),
                           "-n", "2", "--limit", "2"});
    EXPECT_EQ(ran.code, 0) << task << ": " << ran.err;
    EXPECT_EQ(samples_of(at).size(), 2U) << task;
  }
}

/// The names of lmms-eval, which a folder of recorded scores has.
std::vector<std::string> benchmarks() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(LITHE_TEST_DATA "/golden/benchmarks"))
    names.push_back(entry.path().stem().string());
  return names;
}

TEST(Eval, EveryBenchmarkOfTheHubRuns) {
  for (const std::string& task : benchmarks()) {
    const fs::path at = fresh("eval-" + task);
    const Ran ran = lithe({"eval", "demo", "--task", task, "--data", kBenchmarks + task, "-o", at.string(), "-n", "3",
                           "--limit", "2", "--json"});
    EXPECT_EQ(ran.code, 0) << task << ": " << ran.err;
    EXPECT_EQ(samples_of(at).size(), 2U) << task;
    const Json result = parse_json(ran.out, "eval");
    EXPECT_FALSE(result.at("scores").empty()) << task;
    EXPECT_TRUE(result.at("finished")) << task;
  }
}

TEST(Eval, TheSameAnswersAreScoredByBothProtocols) {
  const fs::path at = fresh("eval-protocols");
  const auto call = [&](const std::string& protocol) {
    return lithe({"eval", "demo", "--task", "docvqa_val", "--data", kBenchmarks + "docvqa_val", "-o", at.string(), "-n",
                  "3", "--limit", "3", "--protocol", protocol});
  };
  ASSERT_EQ(call("paper").code, 0);
  const std::string samples = contents(at / "samples.jsonl");
  const Ran today = call("today");
  ASSERT_EQ(today.code, 0) << today.err;
  EXPECT_NE(today.err.find("0 answered, 0 failed, 3 answered before"), std::string::npos) << today.err;
  EXPECT_EQ(contents(at / "samples.jsonl"), samples);
  EXPECT_EQ(read_json_file(at / "result.json").at("protocol"), "today");
  EXPECT_EQ(call("tomorrow").code, 2);
}

TEST(Eval, AHalfAskedPairIsNoted) {
  const fs::path at = fresh("eval-pair");
  const Ran ran = lithe(
      {"eval", "demo", "--task", "mme", "--data", kBenchmarks + "mme", "-o", at.string(), "-n", "3", "--limit", "1"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.err.find("note: no mme_percetion_score: the picture"), std::string::npos) << ran.err;
  EXPECT_TRUE(read_json_file(at / "result.json").at("scores")[0].at("value").is_null());
}

TEST(Eval, ShardsAreMergedToTheWhole) {
  const fs::path at = fresh("eval-shards"), whole = fresh("eval-unsharded");
  const auto call = [&](const fs::path& out, std::vector<std::string> more) {
    more.insert(more.begin(), {"eval", "demo", "--task", "mme", "--data", kBenchmarks + "mme", "-o", out.string(), "-n",
                               "3", "--limit", "5"});
    return lithe(more);
  };
  ASSERT_EQ(call(whole, {}).code, 0);
  for (const char* shard : {"0/2", "1/2"}) {
    const Ran ran = call(at, {"--shard", shard});
    ASSERT_EQ(ran.code, 0) << ran.err;
  }
  const std::string first = (at / "shard-0-of-2").string(), second = (at / "shard-1-of-2").string();
  EXPECT_EQ(samples_of(first).size(), 3U);
  const Ran gap = lithe({"merge", second, "-o", at.string()});
  EXPECT_EQ(gap.code, 2);
  EXPECT_NE(gap.err.find("Shard 0/2 is missing"), std::string::npos) << gap.err;
  const Ran ran = lithe({"merge", second, first, "-o", at.string()});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(samples_of(at), samples_of(whole));
  const Json merged = read_json_file(at / "result.json"), alone = read_json_file(whole / "result.json");
  for (const char* key : {"scores", "questions", "answered", "finished", "settings", "plan"})
    EXPECT_EQ(merged.at(key), alone.at(key)) << key;
  EXPECT_EQ(lithe({"merge", second, first, "-o", at.string()}).code, 2);  // it is there
}

TEST(Eval, AJudgeThatIsNotThereLosesNoAnswer) {
  const fs::path at = fresh("eval-judge");
  const auto call = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"eval", "demo", "--task", "mmbench_en_dev", "--data", kBenchmarks + "mmbench_en_dev",
                               "-o", at.string(), "-n", "3", "--limit", "2"});
    return lithe(more);
  };
  const Ran judged = call({"--judge", "http://127.0.0.1:1/v1"});
  EXPECT_EQ(judged.code, 2);
  EXPECT_NE(judged.err.find("Nobody answers"), std::string::npos) << judged.err;
  EXPECT_EQ(samples_of(at).size(), 2U);
  const Ran alone = call({});
  EXPECT_EQ(alone.code, 0);
  EXPECT_NE(alone.err.find("0 answered, 0 failed, 2 answered before"), std::string::npos) << alone.err;
}

TEST(Eval, ABrokenTableIsSaidBeforeAnythingIsAsked) {
  const fs::path at = fresh("eval-damaged");
  fs::create_directories(at / "data");
  std::ofstream(at / "data/test-0.parquet") << "PAR1 and then nothing";
  const Ran ran = lithe({"eval", "demo", "--task", "pope", "--data", at.string(), "-o", (at / "out").string()});
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("test-0.parquet"), std::string::npos) << ran.err;
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
}

TEST(Eval, AQuestionWithoutItsPictureFailsAlone) {
  const fs::path at = fresh("eval-null");
  fs::create_directories(at);
  fs::copy_file(fs::path(LITHE_SOURCE_DIR) / "models/images/901.png", at / "901.png");
  const Json row = {{"question_id", "1"}, {"question", "Is it red?"}, {"answer", "yes"}, {"category", "random"}};
  Json whole = row;
  whole["question_id"] = "2";
  whole["image"] = "901.png";
  std::ofstream(at / "test.jsonl") << Json(row).dump() << "\n" << whole.dump() << "\n";
  const Ran ran =
      lithe({"eval", "demo", "--task", "pope", "--data", at.string(), "-o", (at / "out").string(), "-n", "3"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("1 answered, 1 failed"), std::string::npos) << ran.err;
  EXPECT_NE(samples_of(at / "out")[0].at("error").get<std::string>().find("has no 'image'"), std::string::npos);
}

TEST(Eval, GoesOnAfterAKillAndRefusesAnotherRun) {
  const fs::path at = fresh("eval-resumed"), data = questions_in(at, 3);
  const auto call = [&](std::vector<std::string> more) {
    more.insert(more.begin(),
                {"eval", "demo", "--task", "exact_match", "--data", data.string(), "-o", (at / "out").string()});
    return lithe(more);
  };
  ASSERT_EQ(call({"--limit", "2"}).code, 0);
  const std::string first = contents(at / "out/samples.jsonl");
  std::ofstream(at / "out/samples.jsonl", std::ios::app) << R"({"question":2,"id":)";
  const Ran again = call({});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.err.find("1 answered, 0 failed, 2 answered before, 0 left"), std::string::npos) << again.err;
  EXPECT_TRUE(contents(at / "out/samples.jsonl").starts_with(first));
  EXPECT_EQ(samples_of(at / "out").size(), 3U);
  const Ran other = call({"--plan", "dense"});
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.err.find("another plan"), std::string::npos) << other.err;
  const Ran longer = call({"-n", "9"});
  EXPECT_EQ(longer.code, 2);
  EXPECT_NE(longer.err.find("another max_tokens"), std::string::npos) << longer.err;
}

TEST(Eval, ABrokenPictureFailsAlone) {
  const fs::path at = fresh("eval-broken"), data = questions_in(at, 3);
  std::ofstream(at / "506.png") << "not a picture";
  const Ran ran =
      lithe({"eval", "demo", "--task", "exact_match", "--data", data.string(), "-o", (at / "out").string()});
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("2 answered, 1 failed"), std::string::npos) << ran.err;
  EXPECT_NE(samples_of(at / "out")[1].at("error").get<std::string>().find("506.png"), std::string::npos);
}

TEST(Eval, ARecipeTunesOnATaskAndIsScoredByIt) {
  const fs::path at = fresh("eval-tuned");
  fs::create_directories(at);
  std::ofstream(at / "recipe.yaml") << "model_name_or_path: demo-dense\noutput_dir: " << (at / "tuned").string() << "\n"
                                    << "data: {path: " << kSets
                                    << "scienceqa, task: scienceqa, split: train, prompt: QCM-A}\n"
                                    << "eval_data: {path: " << kSets
                                    << "slake, task: slake}\nmetric_for_best_model: exact_match\n"
                                    << "max_steps: 1\nper_device_train_batch_size: 1\n";
  const Ran ran = lithe({"tune", (at / "recipe.yaml").string()});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json step = parse_json(contents(at / "tuned/log.jsonl"), "log.jsonl");
  EXPECT_TRUE(step.contains("eval_score"));
  std::ofstream(at / "wrong.yaml") << "model_name_or_path: demo-dense\noutput_dir: x\ndata: {path: x, split: train}\n";
  EXPECT_EQ(lithe({"tune", (at / "wrong.yaml").string()}).code, 3);
}

TEST(Eval, WhatItCannotDoIsSaid) {
  const auto refused = [](std::vector<std::string> arguments, const std::string& word) {
    arguments.insert(arguments.begin(), {"eval", "demo"});
    const Ran ran = lithe(arguments);
    EXPECT_EQ(ran.code, 2) << ran.err;
    EXPECT_NE(ran.err.find(word), std::string::npos) << ran.err;
  };
  refused({"--task", "scienceq", "--data", "x"}, "did you mean scienceqa?");
  refused({"--task", "mmbench_dev", "--data", "x"}, "did you mean mmbench_en_dev?");
  refused({"--task", "slake", "--data", kSets + "slake", "--protocol", "today"}, "leave --protocol out");
  refused({"--task", "gqa", "--data", kBenchmarks + "gqa", "--judge", "http://x"}, "leave --judge out");
  refused({"--task", "mmbench_en_dev", "--data", "x", "--judge", "ftp://x"}, "http");
  refused({"--task", "mme", "--data", kBenchmarks + "mme", "--shard", "2/2"}, "is not a shard");
  refused({"--task", "flickr30k", "--data", kSets + "flickr30k"}, "scores of a head");
  refused({"--task", "slake", "--data", kSets + "slake", "--prompt", "QCM-A"}, "leave --prompt out");
  refused({"--task", "slake"}, "--data");
}

/// The folder of a run that scores the right answers of a data set.
fs::path nll_of(const std::string& name, const fs::path& data, std::vector<std::string> more = {}) {
  const fs::path out = fresh(name);
  std::vector<std::string> arguments{"eval",        "demo",     "--task", "exact_match", "--data",
                                     data.string(), "--metric", "nll",    "-o",          out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Ran ran = lithe(arguments);
  EXPECT_EQ(ran.code, 0) << ran.err;
  return out;
}

TEST(EvalNll, IsTheMeanOfAToken) {
  const fs::path data = questions_in(fresh("nll-data"), 5), out = nll_of("nll", data);
  double nll = 0, tokens = 0;
  for (const Json& line : samples_of(out)) {
    EXPECT_EQ(line.at("target"), "red");
    EXPECT_FALSE(line.contains("answer") || line.contains("score") || line.contains("parsed"));
    EXPECT_GT(line.at("nll"), 0.0);
    EXPECT_GE(line.at("answer_tokens"), 2);
    nll += line.at("nll").get<double>();
    tokens += line.at("answer_tokens").get<double>();
  }
  const Json result = read_json_file(out / "result.json");
  EXPECT_TRUE(result.at("finished"));
  EXPECT_FALSE(result.contains("recall"));
  ASSERT_EQ(result.at("scores").size(), 2U);
  EXPECT_EQ(result.at("scores")[0].at("name"), "nll");
  EXPECT_DOUBLE_EQ(result.at("scores")[0].at("value").get<double>(), nll / tokens);
  EXPECT_EQ(result.at("scores")[1].at("name"), "perplexity");
}

TEST(EvalNll, ContinuesAndMergesToTheSameScores) {
  const fs::path data = questions_in(fresh("nll-shards-data"), 7);
  const fs::path whole = nll_of("nll-whole", data, {"--limit", "3"});
  const Ran rest = lithe(
      {"eval", "demo", "--task", "exact_match", "--data", data.string(), "--metric", "nll", "-o", whole.string()});
  ASSERT_EQ(rest.code, 0) << rest.err;
  EXPECT_NE(rest.err.find("4 answered, 0 failed, 3 answered before"), std::string::npos) << rest.err;
  const fs::path parts = fresh("nll-parts");
  for (const char* shard : {"0/2", "1/2"}) {
    const Ran ran = lithe({"eval", "demo", "--task", "exact_match", "--data", data.string(), "--metric", "nll", "-o",
                           parts.string(), "--shard", shard});
    ASSERT_EQ(ran.code, 0) << ran.err;
  }
  const Ran merged = lithe(
      {"merge", (parts / "shard-0-of-2").string(), (parts / "shard-1-of-2").string(), "-o", parts.string(), "--json"});
  ASSERT_EQ(merged.code, 0) << merged.err;
  const Json one = read_json_file(whole / "result.json").at("scores")[0],
             other = parse_json(merged.out, "merge").at("scores")[0];
  EXPECT_NEAR(one.at("value").get<double>(), other.at("value").get<double>(), 1e-4);  // other batches
  EXPECT_EQ(one.at("questions"), 7);
  EXPECT_EQ(other.at("questions"), 7);
}

TEST(EvalNll, PlansAreComparedByIt) {
  const fs::path data = questions_in(fresh("nll-plans-data"), 6);
  const fs::path own = nll_of("nll-own", data), dense = nll_of("nll-dense", data, {"--plan", "dense"});
  const Ran ran = lithe({"compare", own.string(), dense.string(), "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json result = parse_json(ran.out, "compare");
  const auto value = [](const fs::path& out) {
    return read_json_file(out / "result.json").at("scores")[0].at("value").get<double>();
  };
  EXPECT_NEAR(result.at("first").at("nll").get<double>(), value(own), 1e-9);
  EXPECT_NEAR(result.at("difference").get<double>(), value(dense) - value(own), 1e-9);
  EXPECT_LE(result.at("low"), result.at("difference"));
  EXPECT_GE(result.at("high"), result.at("difference"));
  const fs::path scores = fresh("nll-scores");
  ASSERT_EQ(
      lithe({"eval", "demo", "--task", "exact_match", "--data", data.string(), "-n", "2", "-o", scores.string()}).code,
      0);
  const Ran mixed = lithe({"compare", own.string(), scores.string()});
  EXPECT_EQ(mixed.code, 2);
  EXPECT_NE(mixed.err.find("another metric"), std::string::npos) << mixed.err;
}

TEST(EvalNll, RefusesWhatItDoesNotObey) {
  const fs::path data = questions_in(fresh("nll-refused-data"), 2), out = nll_of("nll-refused", data);
  const auto refusal = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"eval",   "demo",        "--task", "exact_match",
                                       "--data", data.string(), "-o",     out.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Ran ran = lithe(arguments);
    EXPECT_EQ(ran.code, 2) << ran.err;
    return ran.err;
  };
  EXPECT_NE(refusal({"--metric", "nll", "-n", "3"}).find("--max-tokens is for answers that are generated"),
            std::string::npos);
  EXPECT_NE(refusal({"--metric", "bleu"}).find("is neither score nor nll"), std::string::npos);
  EXPECT_NE(refusal({"-n", "3"}).find("another metric"), std::string::npos);
}

/// Questions about one picture, with the vision tokens that each needs.
fs::path needing_questions_in(const fs::path& folder, const std::vector<std::vector<int64_t>>& needed) {
  fs::create_directories(folder);
  fs::copy_file(fs::path(LITHE_SOURCE_DIR) / "models/images/901.png", folder / "901.png");
  std::ofstream out(folder / "questions.jsonl");
  for (const std::vector<int64_t>& tokens : needed) {
    Json line = {
        {"image", "901.png"},
        {"conversations",
         {{{"from", "human"}, {"value", "<image>\nis there a circle?"}}, {{"from", "gpt"}, {"value", "No."}}}}};
    if (!tokens.empty()) line["needed"] = tokens;
    out << line.dump() << "\n";
  }
  return folder / "questions.jsonl";
}

fs::path plan_by(const std::string& selector) {
  const fs::path file = fresh("plan-" + selector + ".json");
  std::ofstream(file)
      << R"({"name": "quarter", "layers": [{"layer": 3, "rules": [{"group": "vision", "keep_share": 0.25, "by": ")"
      << selector << R"("}]}]})";
  return file;
}

TEST(EvalRecall, TellsWhichNeededTokensLayersRun) {
  const fs::path data = needing_questions_in(fresh("recall-data"), {{1, 2, 3}, {9}, {1, 17, 33, 49, 63}});
  const auto recall_of = [&](const std::string& selector) {
    const fs::path out = fresh("recall-" + selector);
    const Ran ran = lithe({"eval", "demo-dense", "--task", "exact_match", "--data", data.string(), "-n", "2", "-o",
                           out.string(), "--plan", plan_by(selector).string()});
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(samples_of(out).at(0).at("needed"), 3);
    return read_json_file(out / "result.json").at("recall");
  };
  const Json first = recall_of("first"), oracle = recall_of("given");
  ASSERT_EQ(first.size(), 12U);
  EXPECT_EQ(first[0], (Json{{"layer", 0}, {"kept_share", 1.0}, {"recall_share", 1.0}, {"questions", 3}}));
  EXPECT_DOUBLE_EQ(first[3].at("kept_share").get<double>(), 0.25);
  EXPECT_DOUBLE_EQ(first[3].at("recall_share").get<double>(), 5.0 / 9);  // those below 16
  EXPECT_DOUBLE_EQ(oracle[3].at("kept_share").get<double>(), 0.25);
  EXPECT_DOUBLE_EQ(oracle[3].at("recall_share").get<double>(), 1.0);
}

TEST(EvalRecall, AQuestionThatNeedsNothingKnownIsRefusedByTheOracle) {
  const fs::path data = needing_questions_in(fresh("oracle-data"), {{1}, {}}), out = fresh("oracle");
  const Ran ran = lithe({"eval", "demo-dense", "--task", "exact_match", "--data", data.string(), "-n", "2", "-o",
                         out.string(), "--plan", plan_by("given").string()});
  EXPECT_EQ(ran.code, 3) << ran.err;
  const auto lines = samples_of(out);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_TRUE(lines[0].contains("answer"));
  EXPECT_NE(lines[1].at("error").get<std::string>().find("\"needed\""), std::string::npos) << lines[1].dump();
}

}  // namespace
}  // namespace lithe::cli
