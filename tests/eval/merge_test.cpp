#include "eval/merge.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "eval/task_run.h"
#include "sentence_of.h"
#include "temporary_folder.h"

namespace lithe::eval {
namespace {

namespace fs = std::filesystem;
using test::sentence_of;

/// Questions "q0", "q1", ..; "yes" is right for those with an even number.
class Evens : public tasks::Task {
 public:
  explicit Evens(int64_t size) : size_(size) {}
  int64_t size() const override { return size_; }
  std::string id(int64_t i) const override { return concat("q", i); }
  tasks::Question question(int64_t i) const override {
    tasks::Question question{.id = id(i)};
    question.ask("even?", "");
    return question;
  }
  tasks::Judgement judge(int64_t i, const tasks::Response& response) const override {
    return {response.text, (response.text == "yes") == (i % 2 == 0) ? 1.0 : 0.0};
  }
  std::vector<tasks::Score> table(std::span<const tasks::Answered> answered) const override {
    return tasks::mean_score("accuracy", answered);
  }

 private:
  int64_t size_;
};

const Json kShardSettings = {{"model", "/a/m"}, {"model_state", "1"}, {"plan", "dense"}, {"data", "/a/d"}};
const Json kFacts = {{"task", "evens"}, {"split", "test"}, {"model", "m"}, {"family", "llava"}, {"plan", "dense"}};

class MergeTest : public testing::Test {
 protected:
  /// Answers a shard's questions with "yes", or only the first of them; one may fail. The folder.
  fs::path shard(const std::string& text, Json settings = kShardSettings, const Part& part = {}, int64_t most = 100,
                 int64_t broken = -1) {
    const Part own{part.limit, parse_shard(text)};
    const fs::path folder = folder_ / concat(name_of(own.shard), "-", made_++);
    TaskRun run(task_, folder, std::move(settings), own);
    for (std::optional<int64_t> i = run.next(); i && most > 0; i = run.next(), --most) {
      if (*i == broken)
        run.fail(*i, task_.id(*i), Error(Fault::bad_file, "no picture"));
      else
        run.answer(*i, task_.question(*i), {.text = "yes"}, Json::object());
    }
    run.finish(kFacts);
    return folder;
  }

  std::string refusal(const std::vector<fs::path>& folders) {
    return sentence_of([&] { Shards{folders}; });
  }

  test::TemporaryFolder folder_;
  Evens task_{7};
  int made_ = 0;
};

TEST_F(MergeTest, EqualsOneRun) {
  const Shards shards({shard("2/3"), shard("0/3"), shard("1/3")});
  const Json merged = shards.write(task_, folder_ / "out", "");
  {
    TaskRun whole(task_, folder_ / "whole", kShardSettings, {});
    for (std::optional<int64_t> i = whole.next(); i; i = whole.next())
      whole.answer(*i, task_.question(*i), {.text = "yes"}, Json::object());
    EXPECT_EQ(merged.at("scores"), whole.finish(kFacts).at("scores"));
  }
  EXPECT_EQ(merged.at("questions"), 7);
  EXPECT_TRUE(merged.at("finished"));
  const auto lines = [&](const char* name) { return SamplesFile(folder_ / name / kSamples).take_lines(); };
  EXPECT_EQ(lines("out"), lines("whole"));
  // It is a run like any other: it continues, and is not a shard.
  TaskRun again(task_, folder_ / "out", kShardSettings, {});
  EXPECT_EQ(again.tally().before, 7);
  EXPECT_FALSE(again.next());
}

TEST_F(MergeTest, OthersOfTheShardsAreRefused) {
  const fs::path first = shard("0/2"), second = shard("1/2");
  EXPECT_NE(refusal({first}).find("Shard 1/2 is missing; give all 2"), std::string::npos);
  EXPECT_NE(refusal({first, second, shard("1/2")}).find("both hold shard 1/2"), std::string::npos);
  EXPECT_NE(refusal({first, shard("1/3")}).find("another number of shards"), std::string::npos);
  Json other = kShardSettings;
  other["plan"] = "p-mod";
  EXPECT_NE(refusal({first, shard("1/2", other)}).find("another plan"), std::string::npos);
  EXPECT_NE(refusal({first, shard("1/2", kShardSettings, {.limit = 3})}).find("another --limit"), std::string::npos);
  EXPECT_NE(refusal({first, folder_ / "absent"}).find("has no result.json"), std::string::npos);
  TaskRun(task_, folder_ / "whole", kShardSettings, {}).finish(kFacts);
  EXPECT_NE(refusal({folder_ / "whole"}).find("not a shard"), std::string::npos);
}

TEST_F(MergeTest, AGapIsRefused) {
  const fs::path first = shard("0/2");
  EXPECT_NE(
      refusal({first, shard("1/2", kShardSettings, {}, 1)}).find("Question 3 has not been asked yet; run shard 1/2"),
      std::string::npos);
  const fs::path cut = folder_ / "cut";
  { TaskRun run(task_, cut, kShardSettings, {.shard = {1, 2}}); }
  EXPECT_NE(refusal({first, cut}).find("was cut off"), std::string::npos);
}

TEST_F(MergeTest, AFailedQuestionStaysOne) {
  const Shards shards({shard("0/2"), shard("1/2", kShardSettings, {}, 100, 3)});
  EXPECT_EQ(shards.failed(), 1);
  const Json merged = shards.write(task_, folder_ / "out", "");
  EXPECT_EQ(merged.at("answered"), 6);
  EXPECT_FALSE(merged.at("finished"));
  EXPECT_EQ(TaskRun(task_, folder_ / "out", kShardSettings, {}).next(), 3);  // and is asked again
}

TEST_F(MergeTest, PathsMayDifferByMachine) {
  Json other = kShardSettings;
  other["model"] = "/b/m";
  other["data"] = "/b/d";
  const Shards shards({shard("0/2"), shard("1/2", other)});
  EXPECT_EQ(shards.settings().at("data"), "/a/d");
}

// Copies of a model have other times on other machines; what is in them counts.
TEST_F(MergeTest, TimesOfFilesMayDifferIfTheContentIsTheSame) {
  Json first = kShardSettings, second = kShardSettings;
  second["model_state"] = "2";
  EXPECT_NE(refusal({shard("0/2", first), shard("1/2", second)}).find("another model_state"), std::string::npos);
  first["model_content"] = second["model_content"] = "c";
  const Shards shards({shard("0/2", first), shard("1/2", second)});
  EXPECT_EQ(shards.settings().at("model_state"), "1");
  second["model_content"] = "d";
  EXPECT_NE(refusal({shard("0/2", first), shard("1/2", second)}).find("another model_content"), std::string::npos);
}

TEST_F(MergeTest, ALimitHoldsForTheWhole) {
  const Shards shards({shard("0/2", kShardSettings, {.limit = 5}), shard("1/2", kShardSettings, {.limit = 5})});
  const Json merged = shards.write(task_, folder_ / "out", "today");
  EXPECT_EQ(merged.at("questions"), 5);
  EXPECT_EQ(merged.at("protocol"), "today");
}

TEST_F(MergeTest, ARunIsNotWrittenOver) {
  const Shards shards({shard("0/2"), shard("1/2")});
  shards.write(task_, folder_ / "out", "");
  EXPECT_NE(sentence_of([&] { shards.write(task_, folder_ / "out", ""); }).find("holds a run already"),
            std::string::npos);
}

TEST_F(MergeTest, AShardIsNotAnotherRun) {
  const fs::path folder = shard("0/2");
  EXPECT_NE(sentence_of([&] {
              TaskRun(task_, folder, kShardSettings, {.shard = {1, 2}});
            }).find("another shard"),
            std::string::npos);
  EXPECT_NE(sentence_of([&] { TaskRun(task_, folder, kShardSettings, {}); }).find("holds a shard"), std::string::npos);
  EXPECT_EQ(TaskRun(task_, folder, kShardSettings, {.shard = {0, 2}}).tally().before, 4);
}

}  // namespace
}  // namespace lithe::eval
