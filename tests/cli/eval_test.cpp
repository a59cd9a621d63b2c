#include <gtest/gtest.h>
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
  refused({"--task", "flickr30k", "--data", kSets + "flickr30k"}, "scores of a head");
  refused({"--task", "slake", "--data", kSets + "slake", "--prompt", "QCM-A"}, "leave --prompt out");
  refused({"--task", "slake"}, "--data");
}

}  // namespace
}  // namespace lithe::cli
