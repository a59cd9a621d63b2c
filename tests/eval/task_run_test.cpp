#include "eval/task_run.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "eval/score.h"
#include "eval/settings.h"
#include "sentence_of.h"
#include "temporary_folder.h"

namespace lithe::eval {
namespace {

namespace fs = std::filesystem;

/// Questions "q0", "q1", ..; the label of question i that is right is i % 3.
class Threes : public tasks::Task {
 public:
  explicit Threes(int64_t size, std::string front = "q") : size_(size), front_(std::move(front)) {}

  int64_t size() const override { return size_; }
  std::string id(int64_t i) const override { return front_ + std::to_string(i); }
  tasks::Question question(int64_t i) const override {
    if (i == broken) fail(Fault::bad_file, "question ", i, " has no picture");
    tasks::Question question{.id = id(i), .text = text, .target = target};
    question.ask(text, "");
    if (width > 0) question.images = {image::Image(width, 2)};
    return question;
  }
  tasks::Judgement judge(int64_t i, const tasks::Response& response) const override {
    return {response.label ? std::to_string(*response.label) : response.text, response.label == i % 3 ? 1.0 : 0.0};
  }
  std::vector<tasks::Score> table(std::span<const tasks::Answered> answered) const override {
    return tasks::mean_score("accuracy", answered);
  }

  int64_t broken = -1, width = 0;
  std::string text = "which?", target;

 private:
  int64_t size_;
  std::string front_;
};

/// Gives question i the best score at i % 3, or everything the best score at 0.
class FakeScorer : public Scorer {
 public:
  std::vector<std::vector<float>> score(std::span<const tasks::Question> questions, const tasks::Task&) override {
    ++calls;
    std::vector<std::vector<float>> all;
    for (const tasks::Question& question : questions) {
      require(questions.size() == 1 || question.id != refused, Fault::bad_file, "not together");
      const int64_t i = std::stoll(question.id.substr(1));
      std::vector<float> scores(3, 0.5F);
      if (right) scores[static_cast<std::size_t>(i % 3)] = 0.75F;
      all.push_back(scores);
    }
    return all;
  }
  int64_t calls = 0;
  bool right = true;
  std::string refused;
};

std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

using test::sentence_of;

const Json kSettings = {{"model", "m"}, {"plan", "dense"}};

TEST(TaskRun, ScoresEveryQuestion) {
  const test::TemporaryFolder folder;
  const Threes task(7);
  TaskRun run(task, folder / "out", kSettings, {});
  FakeScorer scorer;
  EXPECT_TRUE(score_all(scorer, task, run, {.together = 3}));
  EXPECT_EQ(scorer.calls, 3);
  const Json result = run.finish({{"task", "threes"}});
  EXPECT_TRUE(result.at("finished"));
  EXPECT_EQ(result.at("scores")[0].at("value"), 100.0);
  EXPECT_EQ(result, read_json_file(folder / "out/result.json"));
  const auto lines = lines_of(folder / "out/samples.jsonl");
  ASSERT_EQ(lines.size(), 7U);
  Json line = Json::parse(lines[4]);
  EXPECT_EQ(line.at("asked").get<std::string>().size(), 16U);
  line.erase("asked");
  EXPECT_EQ(line.dump(), R"({"question":4,"id":"q4","prompt":"which?","label":1,"parsed":"1","score":1.0})");
}

TEST(TaskRun, EqualScoresAreWonByTheFirst) {
  const test::TemporaryFolder folder;
  const Threes task(3);
  TaskRun run(task, folder / "out", kSettings, {});
  FakeScorer scorer;
  scorer.right = false;
  score_all(scorer, task, run, {});
  EXPECT_NEAR(run.finish(Json::object()).at("scores")[0].at("value").get<double>(), 100.0 / 3, 1e-9);
}

TEST(TaskRun, GoesOnWhereAKillCutItOff) {
  const test::TemporaryFolder folder;
  const Threes task(9);
  FakeScorer scorer;
  {
    TaskRun run(task, folder / "out", kSettings, {.limit = 4});
    score_all(scorer, task, run, {.together = 2});
  }  // no finish(), as after a kill
  std::ofstream(folder / "out/samples.jsonl", std::ios::app) << R"({"question":4,"id":"q4","pro)";
  scorer.calls = 0;
  TaskRun run(task, folder / "out", kSettings, {});
  EXPECT_EQ(run.tally().before, 4);
  EXPECT_TRUE(score_all(scorer, task, run, {.together = 5}));
  EXPECT_EQ(scorer.calls, 1);
  const Json result = run.finish(Json::object());
  EXPECT_TRUE(result.at("finished"));
  EXPECT_EQ(result.at("answered"), 9);
  EXPECT_EQ(lines_of(folder / "out/samples.jsonl").size(), 9U);
}

TEST(TaskRun, AFailedQuestionIsAskedAgain) {
  const test::TemporaryFolder folder;
  Threes task(5);
  FakeScorer scorer;
  {
    task.broken = 1;
    TaskRun run(task, folder / "out", kSettings, {});
    EXPECT_TRUE(score_all(scorer, task, run, {.together = 2}));
    const Json result = run.finish(Json::object());
    EXPECT_FALSE(result.at("finished"));
    EXPECT_EQ(result.at("failed"), 1);
    EXPECT_EQ(result.at("answered"), 4);
  }
  task.broken = -1;
  TaskRun run(task, folder / "out", kSettings, {});
  EXPECT_TRUE(score_all(scorer, task, run, {}));
  EXPECT_TRUE(run.finish(Json::object()).at("finished"));
  const auto lines = lines_of(folder / "out/samples.jsonl");
  ASSERT_EQ(lines.size(), 5U);  // the error has gone, and the lines are in order
  EXPECT_NE(lines[1].find("\"id\":\"q1\""), std::string::npos);
  EXPECT_EQ(lines[1].find("error"), std::string::npos);
}

TEST(TaskRun, WhatIsRefusedTogetherIsScoredAlone) {
  const test::TemporaryFolder folder;
  const Threes task(4);
  TaskRun run(task, folder / "out", kSettings, {});
  FakeScorer scorer;
  scorer.refused = "q2";
  EXPECT_TRUE(score_all(scorer, task, run, {.together = 4}));
  EXPECT_EQ(scorer.calls, 5);
  EXPECT_EQ(run.tally().answered, 4);
}

TEST(TaskRun, AnotherRunIsRefused) {
  const test::TemporaryFolder folder;
  const Threes task(3);
  { TaskRun run(task, folder / "out", kSettings, {}); }
  const auto sentence = [&](const tasks::Task& other, const Json& settings) {
    return sentence_of([&] { TaskRun run(other, folder / "out", settings, {}); });
  };
  EXPECT_NE(sentence(task, {{"model", "m"}, {"plan", "eas"}}).find("another plan"), std::string::npos);
  EXPECT_NE(sentence(Threes(4), kSettings).find("another questions"), std::string::npos);
  {
    TaskRun run(task, folder / "out", kSettings, {});
    FakeScorer scorer;
    score_all(scorer, task, run, {});
  }
  EXPECT_NE(sentence(Threes(3, "p"), kSettings).find("other questions"), std::string::npos);
}

TEST(TaskRun, AnswersToAnotherTextTargetOrPictureAreRefused) {
  const test::TemporaryFolder folder;
  Threes task(3);
  task.target = "1";
  task.width = 4;
  {
    TaskRun run(task, folder / "out", kSettings, {});
    FakeScorer scorer;
    score_all(scorer, task, run, {});
  }
  const auto sentence = [&] { return sentence_of([&] { TaskRun run(task, folder / "out", kSettings, {}); }); };
  task.width = 5;
  EXPECT_NE(sentence().find("holds an answer to question 0"), std::string::npos) << sentence();
  task.width = 4;
  task.text = "what?";
  EXPECT_NE(sentence().find("has changed since"), std::string::npos) << sentence();
  task.text = "which?";
  task.target = "2";
  EXPECT_NE(sentence().find("has changed since"), std::string::npos) << sentence();
  task.target = "1";
  TaskRun run(task, folder / "out", kSettings, {});
  EXPECT_EQ(run.tally().before, 3);
}

TEST(TaskRun, LinesWithoutTheKeyAskedGoOn) {
  const test::TemporaryFolder folder;
  Threes task(2);
  { TaskRun run(task, folder / "out", kSettings, {}); }
  std::ofstream(folder / "out/samples.jsonl")
      << R"({"question":0,"id":"q0","prompt":"which?","label":0,"parsed":"0","score":1.0})"
      << "\n";
  {
    TaskRun run(task, folder / "out", kSettings, {});
    EXPECT_EQ(run.tally().before, 1);
  }
  task.text = "what?";
  EXPECT_THROW(TaskRun(task, folder / "out", kSettings, {}), Error);
}

TEST(TaskRun, AForeignFolderStaysAsItIs) {
  const test::TemporaryFolder folder;
  const Threes task(3);
  std::ofstream(folder / "samples.jsonl") << "{\"my\": \"notes\"}\n";
  const auto sentence = sentence_of([&] { TaskRun run(task, folder.path(), kSettings, {}); });
  EXPECT_NE(sentence.find("without the result.json"), std::string::npos) << sentence;
  EXPECT_FALSE(fs::exists(folder / "result.json"));
  std::ofstream(folder / "result.json") << "{\"schema\": \"mine\"}";
  EXPECT_THROW(TaskRun(task, folder.path(), kSettings, {}), Error);
  EXPECT_EQ(lines_of(folder / "samples.jsonl").size(), 1U);
}

TEST(TaskRun, TwoProgramsCannotWriteOne) {
  const test::TemporaryFolder folder;
  const Threes task(3);
  TaskRun first(task, folder / "out", kSettings, {});
  EXPECT_THROW(TaskRun(task, folder / "out", kSettings, {}), Error);
}

TEST(Settings, CopiesHaveTheSameContentWheneverTheyWereWritten) {
  const test::TemporaryFolder folder;
  fs::create_directories(folder / "a/part");
  std::ofstream(folder / "a/model.safetensors") << std::string(1000, 'w') << "eights";
  std::ofstream(folder / "a/part/params.json") << "{}";
  std::ofstream(folder / "a/empty");
  fs::copy(folder / "a", folder / "b", fs::copy_options::recursive);
  fs::last_write_time(folder / "b/model.safetensors", fs::file_time_type{} + std::chrono::hours(1));
  EXPECT_NE(state_of(folder / "a"), state_of(folder / "b"));
  EXPECT_EQ(content_of(folder / "a"), content_of(folder / "b"));
  EXPECT_EQ(content_of(folder / "a/model.safetensors"), content_of(folder / "b/model.safetensors")) << "a GGUF file";
  for (const std::size_t place : {std::size_t{0}, std::size_t{517}, std::size_t{1005}}) {
    std::fstream file(folder / "b/model.safetensors", std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(place));
    file << 'x';
    file.close();
    EXPECT_NE(content_of(folder / "a"), content_of(folder / "b")) << place;
    fs::copy_file(folder / "a/model.safetensors", folder / "b/model.safetensors", fs::copy_options::overwrite_existing);
    EXPECT_EQ(content_of(folder / "a"), content_of(folder / "b"));
  }
}

TEST(Settings, AFolderThatChangedHasAnotherState) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "model.safetensors") << "weights";
  const std::string before = state_of(folder.path());
  EXPECT_EQ(before.size(), 16U);
  EXPECT_EQ(state_of(folder.path()), before);
  std::ofstream(folder / "model.safetensors") << "other weights";
  EXPECT_NE(state_of(folder.path()), before);
  fs::create_directories(folder / "part");
  std::ofstream(folder / "part/params.json") << "{}";
  const std::string whole = state_of(folder.path());
  std::ofstream(folder / "part/params.json") << "{ }";
  EXPECT_NE(state_of(folder.path()), whole);
  EXPECT_NE(state_of(folder / "model.safetensors"), state_of(folder / "part/params.json"));
}

}  // namespace
}  // namespace lithe::eval
