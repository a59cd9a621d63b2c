// The hub's Parquet files, as tools/make_benchmark_fixtures.py makes them. What answers are worth is compared with
// recorded scores by the golden cases.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>

#include "base/error.h"
#include "io/atomic_file.h"
#include "sentence_of.h"
#include "tasks/task.h"
#include "temporary_folder.h"

namespace lithe::tasks {
namespace {

namespace fs = std::filesystem;
using test::sentence_of;

const fs::path kSets = LITHE_TEST_DATA "/benchmarks";
const fs::path kCases = LITHE_TEST_DATA "/golden/benchmarks";

std::vector<std::string> names_of_benchmarks() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kCases)) names.push_back(entry.path().stem().string());
  return names;
}

std::unique_ptr<Task> open(const std::string& name, const fs::path& data, TaskOptions options = {}) {
  options.data = data;
  return open_task(name, options);
}

/// "679 x 257, 10 x 20"
std::string sizes(const Question& question) {
  std::string text;
  for (const image::Source& source : question.images)
    text += concat(text.empty() ? "" : ", ", source.header().size.width, " x ", source.header().size.height);
  return text;
}

/// A folder with one file of JSON lines.
class LinesSet {
 public:
  LinesSet(const std::string& file, const std::vector<Json>& lines) {
    std::string text;
    for (const Json& line : lines) text += line.dump() + "\n";
    io::write_text_atomic(folder_ / file, text);
  }
  const fs::path& path() const { return folder_.path(); }

 private:
  test::TemporaryFolder folder_;
};

TEST(Benchmarks, EveryRowOfTheHubsFilesIsAQuestion) {
  const std::vector<std::string> names = names_of_benchmarks();
  ASSERT_EQ(names.size(), 14U);
  for (const std::string& name : names) {
    const Json json = read_json_file(kCases / (name + ".json"));
    const auto task = open(name, kSets / name, {.split = json.at("dataset").at("split")});
    ASSERT_EQ(task->size(), static_cast<int64_t>(json.at("records").size())) << name;
    std::set<std::string> ids;
    for (int64_t i = 0; i < task->size(); ++i) {
      const Json& record = json.at("records").at(static_cast<std::size_t>(i));
      const Question question = task->question(i);
      EXPECT_EQ(question.images.size(), record.at("images").size()) << name << i;
      EXPECT_EQ(question.id, task->id(i));
      EXPECT_TRUE(ids.insert(question.id).second) << name << ": " << question.id;
      EXPECT_FALSE(question.target.empty()) << name << i;
    }
  }
}

TEST(Benchmarks, PicturesHaveTheirOrder) {
  EXPECT_EQ(sizes(open("mmbench_en_dev", kSets / "mmbench_en_dev")->question(0)), "679 x 257");
  EXPECT_EQ(sizes(open("mmmu_val", kSets / "mmmu_val")->question(3)), "1267 x 952, 1024 x 527, 549 x 1064");
  EXPECT_EQ(sizes(open("gqa", kSets / "gqa")->question(1)), "1034 x 762");
}

TEST(Benchmarks, SplitsAreOfTheirOwn) {
  const auto images = open("seedbench", kSets / "seedbench");
  const auto all = open("seedbench", kSets / "seedbench", {.split = "test"});
  const auto videos = open("seedbench", kSets / "seedbench", {.split = "video"});
  EXPECT_EQ(images->size() + videos->size(), all->size());
  EXPECT_EQ(images->question(0).images.size(), 1U);
  EXPECT_GT(videos->question(0).images.size(), 1U);
  const auto pope = open("pope", kSets / "pope", {.split = "adversarial+popular+random"});
  EXPECT_EQ(pope->size(), 12);
  EXPECT_EQ(pope->id(0), "adversarial-1");
}

TEST(Benchmarks, AFolderOfAConfigurationWillDo) {
  EXPECT_EQ(open("docvqa_val", kSets / "docvqa_val/DocVQA")->size(), 11);
}

TEST(Benchmarks, ProtocolsAreOfTasksThatHaveTwo) {
  const fs::path slake = LITHE_TEST_DATA "/tasks/slake";
  EXPECT_NE(sentence_of([&] { open("slake", slake, {.protocol = Protocol::today}); }).find("leave --protocol out"),
            std::string::npos);
  const auto paper = open("docvqa_val", kSets / "docvqa_val");
  const auto today = open("docvqa_val", kSets / "docvqa_val", {.protocol = Protocol::today});
  EXPECT_EQ(paper->judge(0, {.text = "H. Brandt"}).score, 1);
  EXPECT_NEAR(today->judge(0, {.text = "H. Brandt"}).score, 2.0 / 3, 1e-9);
}

TEST(Benchmarks, MmmuShowsPicturesWhereTheyBelongToday) {
  const auto today = open("mmmu_val", kSets / "mmmu_val", {.protocol = Protocol::today});
  EXPECT_TRUE(today->question(1).turns[0].text.starts_with("Compare<image>with<image>C. both"));
  const auto paper = open("mmmu_val", kSets / "mmmu_val");
  EXPECT_TRUE(paper->question(1).turns[0].text.starts_with("<image> <image>\nCompare <image 2> with <image 1>."));
}

TEST(Benchmarks, AnInstructionOfOnesOwnReplacesBothOfMmmu) {
  const auto task = open("mmmu_val", kSets / "mmmu_val", {.instruction = "Be brief."});
  for (const int64_t i : {0, 4}) EXPECT_TRUE(task->question(i).turns[0].text.ends_with("\n\nBe brief.")) << i;
  const auto bare = open("mmbench_en_dev", kSets / "mmbench_en_dev", {.instruction = ""});
  EXPECT_TRUE(bare->question(0).turns[0].text.ends_with("\nD. Black"));
}

TEST(Benchmarks, MmeCountsWholePairsOnly) {
  const auto task = open("mme", kSets / "mme");
  const auto scores = [&](int64_t count) {
    std::map<std::string, Score> by_name;
    std::vector<Answered> answered;
    for (int64_t i = 0; i < count; ++i) {
      const Response response{.text = task->question(i).target};
      answered.push_back({i, response, task->judge(i, response)});
    }
    for (const Score& score : task->table(answered)) by_name[score.name] = score;
    return by_name;
  };
  const auto whole = scores(task->size());
  EXPECT_TRUE(whole.at("mme_percetion_score").missing.empty());
  EXPECT_EQ(whole.at("existence").value, 200);
  EXPECT_NE(scores(1).at("mme_percetion_score").missing.find("has 1 of its 2 answers"), std::string::npos);
  EXPECT_TRUE(scores(0).empty());
}

TEST(Benchmarks, AnAnswerThatNobodyCanReadIsDrawn) {
  const auto task = open("mmmu_val", kSets / "mmmu_val");
  const auto share = [&](const std::vector<Answered>& answered) { return task->table(answered).at(0).value; };
  // The first draw among four options is D, the first two among four are D, D.
  const Answered unread{0, {.text = "?"}, task->judge(0, {.text = "?"})};
  EXPECT_EQ(unread.judgement.parsed, "");
  EXPECT_EQ(share({unread}), 0);
  EXPECT_EQ(share({unread, {0, {.text = "B"}, task->judge(0, {.text = "B"})}}), 50);
}

TEST(Benchmarks, ARowWithoutAPictureIsRefused) {
  const Json row = {{"question_id", "x.png"}, {"question", "Is it red?"}, {"answer", "Yes"}, {"category", "color"}};
  Json null = row, other = row, broken = row;
  null["image"] = nullptr;
  other["image"] = 3;
  broken["image"] = "missing.png";
  const LinesSet set("test.jsonl", {row, null, other, broken});
  const auto task = open("mme", set.path());
  const std::vector<std::string> words{"record 1: has no 'image'", "record 2: has no 'image'",
                                       "record 3: a picture is number", "missing.png"};
  for (std::size_t i = 0; i < words.size(); ++i)
    EXPECT_NE(sentence_of([&] { task->question(static_cast<int64_t>(i)); }).find(words[i]), std::string::npos) << i;
  EXPECT_EQ(task->id(1), "x.png-2");
}

TEST(Benchmarks, ScienceQaMayHaveNoPicture) {
  const LinesSet set("test.jsonl", {{{"question", "Which?"}, {"choices", {"a", "b"}}, {"answer", 1}, {"hint", ""}}});
  const Question question = open("scienceqa_img", set.path())->question(0);
  EXPECT_TRUE(question.turns[0].text.starts_with("Which?\nA. a\nB. b\nAnswer with"));
  EXPECT_EQ(question.target, "B");
}

TEST(Benchmarks, WhatIsWrongWithARowIsSaid) {
  const auto sentence = [](const std::string& task, const std::string& file, const Json& row) {
    const LinesSet set(file, {row});
    return sentence_of([&] { open(task, set.path())->question(0); });
  };
  EXPECT_NE(
      sentence("ai2d", "test.jsonl", {{"question", "?"}, {"options", {"a"}}, {"answer", "1"}}).find("'answer' is 1"),
      std::string::npos);
  EXPECT_NE(sentence("ai2d", "test.jsonl", {{"question", "?"}, {"options", "a"}, {"answer", "0"}}).find("not a list"),
            std::string::npos);
  EXPECT_NE(
      sentence("pope", "test.jsonl", {{"question_id", 1}, {"category", "x"}, {"question", "?"}, {"answer", "maybe"}})
          .find("neither yes nor no"),
      std::string::npos);
  const Json mmmu = {{"id", "validation_Art"},
                     {"question", "?"},
                     {"options", "['a"},
                     {"answer", "A"},
                     {"question_type", "multiple-choice"}};
  EXPECT_NE(sentence("mmmu_val", "validation.jsonl", mmmu).find("SPLIT_SUBJECT_NUMBER"), std::string::npos);
  Json list = mmmu;
  list["id"] = "validation_Art_1";
  EXPECT_NE(sentence("mmmu_val", "validation.jsonl", list).find("not one of texts"), std::string::npos);
  EXPECT_NE(sentence("gqa", "testdev_balanced_instructions/testdev.jsonl", {{"id", "1"}}).find("GQA (its pictures)"),
            std::string::npos);
}

TEST(Benchmarks, AFolderWithoutTheSetIsRefused) {
  const test::TemporaryFolder folder;
  EXPECT_NE(sentence_of([&] { open("infovqa_val", folder.path()); }).find("InfographicVQA/validation-*.parquet"),
            std::string::npos);
  EXPECT_NE(sentence_of([&] { open("mme", folder / "absent"); }).find("is not there"), std::string::npos);
}

TEST(Benchmarks, ADamagedFileIsRefused) {
  const test::TemporaryFolder folder;
  fs::create_directories(folder / "data");
  const fs::path whole = kSets / "mme/data/test-00000-of-00001.parquet", damaged = folder / "data/test-0.parquet";
  const auto bytes = fs::file_size(whole);
  for (const auto kept : {bytes / 2, bytes - 1, uintmax_t{6}}) {
    fs::copy_file(whole, damaged, fs::copy_options::overwrite_existing);
    fs::resize_file(damaged, kept);
    EXPECT_NE(sentence_of([&] { open("mme", folder.path()); }).find("test-0.parquet"), std::string::npos) << kept;
  }
}

}  // namespace
}  // namespace lithe::tasks
