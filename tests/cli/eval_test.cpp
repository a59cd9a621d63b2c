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

std::vector<Json> samples_of(const fs::path& folder) {
  std::vector<Json> lines;
  std::istringstream in(contents(folder / "samples.jsonl"));
  for (std::string line; std::getline(in, line);) lines.push_back(parse_json(line, "samples.jsonl"));
  return lines;
}

fs::path fresh(const std::string& name) {
  fs::remove_all(scratch() / name);
  return scratch() / name;
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

const std::string kBenchmarks = LITHE_TEST_DATA "/benchmarks/";

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
  refused({"--task", "mmbench_en_dev", "--data", "x", "--judge", "https://x"}, "http://");
  refused({"--task", "mme", "--data", kBenchmarks + "mme", "--shard", "2/2"}, "is not a shard");
  refused({"--task", "flickr30k", "--data", kSets + "flickr30k"}, "scores of a head");
  refused({"--task", "slake", "--data", kSets + "slake", "--prompt", "QCM-A"}, "leave --prompt out");
  refused({"--task", "slake"}, "--data");
}

}  // namespace
}  // namespace lithe::cli
