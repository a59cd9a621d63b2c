// Each set in every form that it is downloaded as; tools/make_task_fixtures.py makes the records.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "sentence_of.h"
#include "tasks/records.h"
#include "tasks/set_files.h"
#include "tasks/task.h"
#include "tasks/vqa_labels.h"
#include "temporary_folder.h"

namespace lithe::tasks {
namespace {

const std::filesystem::path kFolders = LITHE_TEST_DATA "/tasks";

std::unique_ptr<Task> open_in(const std::string& name, const std::string& folder, TaskOptions options = {}) {
  options.data = kFolders / folder;
  return open_task(name, options);
}

/// "11, 14": the widths of a question's pictures, by which they are told apart.
std::string widths(const Question& question) {
  std::string text;
  for (const image::Source& source : question.images)
    text += (text.empty() ? "" : ", ") + std::to_string(source.decode()->width);
  return text;
}

std::string prompt_of(const Question& question) {
  EXPECT_EQ(question.turns.size(), 1U);
  EXPECT_EQ(question.turns.back().role, "user");
  return question.turns.back().text;
}

/// The table after these answers in words, as "name value questions" of each row.
std::vector<std::string> table_of(const Task& task, const std::vector<std::string>& answers) {
  std::vector<Answered> answered;
  for (int64_t i = 0; i < static_cast<int64_t>(answers.size()); ++i) {
    const Response response{.text = answers[static_cast<std::size_t>(i)]};
    answered.push_back({i, response, task.judge(i, response)});
  }
  std::vector<std::string> rows;
  for (const Score& score : task.table(answered))
    rows.push_back(concat(score.name, " ", score.value, " ", score.questions));
  return rows;
}

using test::sentence_of;

using Rows = std::vector<std::string>;

TEST(ScienceQa, ReadsTheOfficialFolder) {
  const auto task = open_in("scienceqa", "scienceqa");
  ASSERT_EQ(task->size(), 3);
  const Question first = task->question(0);
  EXPECT_EQ(first.id, "1");
  EXPECT_EQ(prompt_of(first), "<image>\nQuestion 1?\nContext: N/A\nOptions: (A) red (B) blue (C) green");
  EXPECT_EQ(first.target, "The answer is B. BECAUSE: A lecture.\\nTwo lines. It is 1.");
  EXPECT_EQ(widths(first), "11");
  EXPECT_EQ(prompt_of(task->question(1)), "Question 2?\nContext: Look at the map.\nOptions: (A) red (B) blue");
  EXPECT_EQ(table_of(*task, {"The answer is B.", "B. no", "I do not know"}),
            (Rows{"NAT 100 1", "SOC 0 1", "LAN 0 1", "TXT 0 1", "IMG 100 1", "NO 0 1", "G1-6 100 1", "G7-12 0 2",
                  "AVG 33.3333 3"}));
  EXPECT_EQ(widths(open_in("scienceqa", "scienceqa", {.split = "train"})->question(0)), "14");
}

TEST(ScienceQa, AsksLavinAsItWasTuned) {
  const auto task = open_in("scienceqa", "scienceqa", {.prompt = "CQM-A+caption", .family = "lavin"});
  EXPECT_EQ(prompt_of(task->question(0)),
            "<image>\nContext: A red thing.\nQuestion: Question 1?\nOptions: (A) red (B) blue (C) green\nResponse:");
  EXPECT_EQ(task->judge(0, {.text = "I think (B) is right"}).score, 1);
}

TEST(ScienceQa, ReadsTheHubsTables) {
  const auto task = open_in("scienceqa", "scienceqa_hub"), official = open_in("scienceqa", "scienceqa");
  ASSERT_EQ(task->size(), 3);
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(prompt_of(task->question(i)), prompt_of(official->question(i)));
    EXPECT_EQ(widths(task->question(i)), widths(official->question(i)));
  }
  EXPECT_THROW(open_in("scienceqa", "scienceqa_hub", {.prompt = "QCM-A+caption"}), Error);
}

TEST(VqaV2, ReadsTheOfficialFiles) {
  const auto task = open_in("vqav2", "vqav2");
  ASSERT_EQ(task->size(), 3);
  const Question last = task->question(2);
  EXPECT_EQ(last.id, "42002");
  EXPECT_EQ(last.target, "2");
  EXPECT_EQ(widths(last), "73");
  EXPECT_EQ(prompt_of(last), "<image>\nHow many dogs are there?\nAnswer the question using a single word or phrase.");
  // "dark red" was said three times: (3 * 2/3 + 7) / 10. "two" is "2".
  EXPECT_EQ(table_of(*task, {"Dark red", "Yes.", "two"}),
            (Rows{"accuracy 96.6667 3", "yes/no 100 1", "number 100 1", "other 90 1"}));
}

TEST(VqaV2, ATestSplitHasNoScores) {
  const auto task = open_in("vqav2", "vqav2", {.split = "test-dev"});
  EXPECT_EQ(widths(task->question(0)), "9");
  EXPECT_EQ(task->question(0).target, "");
  EXPECT_TRUE(table_of(*task, {"yes"}).empty());
}

TEST(VqaV2, ReadsTheHubsTables) {
  const auto task = open_in("vqav2", "vqav2_hub");
  ASSERT_EQ(task->size(), 3);
  EXPECT_EQ(widths(task->question(1)), "42");
  EXPECT_EQ(task->judge(0, {.text = "red"}).score, 1);
}

TEST(VqaV2, ReadsMetersArrowFiles) {
  const auto task = open_in("vqav2", "vqav2_arrow");
  ASSERT_EQ(task->size(), 3);
  const Question last = task->question(2);
  EXPECT_EQ(last.id, "42002");
  EXPECT_EQ(widths(last), "73");
  ASSERT_EQ(last.answers.size(), 2U);
  EXPECT_EQ(last.answers[1], std::pair(std::string("3"), 0.6));
  EXPECT_DOUBLE_EQ(task->judge(2, {.label = 8}).score, 0.6);
  EXPECT_EQ(task->judge(2, {.label = 8}).parsed, "3");
  EXPECT_EQ(task->judge(2, {.label = 5}).score, 0);
  EXPECT_DOUBLE_EQ(task->judge(2, {.text = "Three"}).score, 0.6);
}

/// A copy of METER's Arrow file in which every number of the scores that is 0.6 is another one.
std::string arrow_score(double share) {
  const test::TemporaryFolder folder;
  std::ifstream in(kFolders / "vqav2_arrow/vqav2_val.arrow", std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const auto text = [](double x) { return std::string(reinterpret_cast<const char*>(&x), sizeof x); };
  size_t found = 0;
  for (size_t at = bytes.find(text(0.6)); at != bytes.npos; at = bytes.find(text(0.6), at + 8), ++found)
    bytes.replace(at, 8, text(share));
  EXPECT_GT(found, 0U);
  std::ofstream(folder / "vqav2_val.arrow", std::ios::binary) << bytes;
  return sentence_of([&] { (void)open_task("vqav2", {.data = folder.path()})->question(2); });
}

TEST(VqaV2, SharesOfArrowFilesAreFrom0To1) {
  for (const double share :
       {7.0, -1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    const std::string said = arrow_score(share);
    EXPECT_NE(said.find("a value of 'answer_scores' is not a number from 0 to 1"), std::string::npos) << said;
  }
}

TEST(VqaV2, ArrowFilesNumberTheAnswersOfAHead) {
  const HeadLabels labels = open_in("vqav2", "vqav2_arrow")->head_labels();
  EXPECT_TRUE(labels.numbered);
  ASSERT_EQ(labels.names.size(), 9U);
  EXPECT_EQ(labels.names[8], "3");
  EXPECT_EQ(labels.names[0], "");  // nobody said it
  EXPECT_FALSE(labels.complete());
  EXPECT_TRUE(labels.fit(9) && labels.fit(3129));
  EXPECT_FALSE(labels.fit(8));
  const HeadLabels file = vqa_labels(kFolders / "vqav2_arrow/vqav2_val.arrow");
  EXPECT_EQ(file.names, labels.names);
}

/// An official folder: `count` questions of a split to which an answer is the most frequent one, by answer. The other
/// people say "something else".
void write_split(const std::filesystem::path& folder, const std::string& split,
                 const std::vector<std::pair<std::string, int>>& answers) {
  Json questions = Json::array(), annotations = Json::array();
  const std::string year = split + "2014";
  std::filesystem::create_directories(folder / year);
  std::filesystem::copy_file(kFolders / "vqav2/val2014/COCO_val2014_000000000042.jpg",
                             folder / year / ("COCO_" + year + "_000000000042.jpg"));
  int id = 0;
  for (const auto& [answer, count] : answers) {
    for (int i = 0; i < count; ++i, ++id) {
      questions.push_back({{"question_id", id}, {"image_id", 42}, {"question", "Q?"}});
      Json people = Json::array();
      for (int person = 0; person < 10; ++person)
        people.push_back({{"answer", person < 6 ? answer : "something else"}});
      annotations.push_back(
          {{"question_id", id}, {"image_id", 42}, {"multiple_choice_answer", answer}, {"answers", people}});
    }
  }
  std::ofstream(folder / ("v2_OpenEnded_mscoco_" + year + "_questions.json")) << Json{{"questions", questions}};
  std::ofstream(folder / ("v2_mscoco_" + year + "_annotations.json")) << Json{{"annotations", annotations}};
}

// As METER's public code: 9 questions of train and val together, after normalisation, in the order of their first one.
TEST(VqaV2, FrequentAnswersOfTheOfficialFilesAreTheClasses) {
  const test::TemporaryFolder folder;
  write_split(folder.path(), "train", {{"rare", 8}, {"two", 4}, {"yes", 9}, {"a dog", 3}});
  write_split(folder.path(), "val", {{"dog", 6}, {"2", 5}, {"rarer", 1}});
  const auto task = open_task("vqav2", {.data = folder.path(), .split = "train"});
  const HeadLabels labels = task->head_labels();
  EXPECT_EQ(labels.names, (Rows{"2", "yes", "dog"}));
  EXPECT_FALSE(labels.numbered);
  EXPECT_TRUE(labels.complete() && labels.fit(3));
  EXPECT_FALSE(labels.fit(4));
  // A head learns from the questions that have such an answer, word for word as METER looks them up.
  const auto train = records_of("vqav2", {.data = folder.path(), .split = "train", .family = "meter"});
  EXPECT_EQ(train->size(), 9);
  EXPECT_EQ(train->labels(), labels.names);
  EXPECT_EQ(train->read(8).turns.back().text, R"({"something else":1.0,"yes":1.0})");
  EXPECT_EQ(records_of("vqav2", {.data = folder.path(), .split = "val", .family = "meter"})->size(), 11);
  // All are asked, and a model that answers in words learns from all.
  EXPECT_EQ(task->size(), 24);
  EXPECT_EQ(records_of("vqav2", {.data = folder.path(), .split = "train"})->size(), 24);
}

TEST(VqaV2, FewRecordsHaveNoFrequentAnswer) {
  EXPECT_TRUE(open_in("vqav2", "vqav2")->head_labels().names.empty());
  const auto set = records_of("vqav2", {.data = kFolders / "vqav2", .family = "meter"});
  EXPECT_EQ(set->size(), 3);
  EXPECT_TRUE(set->labels().empty());
}

TEST(VqaV2, LabelMapsNameTheAnswers) {
  const test::TemporaryFolder folder;
  const auto read = [&](const std::string& text) {
    std::ofstream(folder / "map.json") << text;
    return vqa_labels(folder / "map.json").names;
  };
  const Rows expected{"net", "yes", "no"};
  for (const char* text :
       {R"(["net", "yes", "no"])", R"({"0": "net", "2": "no", "1": "yes"})", R"({"net": 0, "yes": 1, "no": 2})",
        R"({"model_type": "vilt", "id2label": {"0": "net", "1": "yes", "2": "no"}})",
        R"({"ans2label": {"net": 0, "yes": 1, "no": 2}, "label2ans": ["net", "yes", "no"]})"})
    EXPECT_EQ(read(text), expected) << text;
  for (const char* text : {"5", "[]", "[1]", R"({"net": "yes"})", R"({"net": -1})", R"({"a": 0, "b": 0})",
                           R"({"net": 99999999999})", R"({"99999999": "net"})"})
    EXPECT_NE(sentence_of([&] { read(text); }).find("map.json"), std::string::npos) << text;
}

TEST(VqaV2, FaultsOfTheAnnotationsNameTheirFile) {
  const test::TemporaryFolder folder;
  std::filesystem::copy(kFolders / "vqav2", folder.path(),
                        std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
  const std::filesystem::path file = folder / "v2_mscoco_val2014_annotations.json";
  Json annotations = read_json_file(file);
  annotations.at("annotations").at(1)["answers"] = 5;
  std::ofstream(file) << annotations.dump();
  const auto task = open_task("vqav2", {.data = folder.path()});
  const std::string said = sentence_of([&] {
    for (int64_t i = 0; i < task->size(); ++i) (void)task->question(i);
  });
  EXPECT_NE(said.find("annotations.json"), std::string::npos) << said;
  EXPECT_EQ(said.find("questions.json"), std::string::npos) << said;
}

TEST(Nlvr2, ReadsBothForms) {
  const auto task = open_in("nlvr2", "nlvr2", {.split = "dev"});
  ASSERT_EQ(task->size(), 2);
  EXPECT_EQ(widths(task->question(1)), "20, 21");
  EXPECT_EQ(prompt_of(task->question(0)),
            "<image> <image>\nThere are 1 dogs.\nIs this sentence about the two pictures true? Answer True or False.");
  EXPECT_EQ(table_of(*task, {"true.", "Trueish"}), (Rows{"accuracy 50 2"}));
  const auto arrow = open_in("nlvr2", "nlvr2_arrow", {.split = "dev"});
  ASSERT_EQ(arrow->size(), 3);
  EXPECT_EQ(arrow->question(1).text, "No dog is black.");
  EXPECT_EQ(widths(arrow->question(2)), "20, 21");
  EXPECT_EQ(arrow->judge(0, {.label = 1}).score, 1);
  EXPECT_EQ(arrow->judge(1, {.label = 1}).score, 0);
}

TEST(SnliVe, ReadsBothForms) {
  const auto task = open_in("snli_ve", "snli_ve");
  ASSERT_EQ(task->size(), 3);
  EXPECT_EQ(task->question(1).text, "A man sits.");
  EXPECT_EQ(widths(task->question(1)), "2");
  EXPECT_EQ(task->question(1).target, "contradiction");
  EXPECT_EQ(table_of(*task, {"Entailment", "contradiction", "no"}), (Rows{"accuracy 66.6667 3"}));
  const auto arrow = open_in("snli_ve", "snli_ve_arrow", {.split = "dev+test"});
  ASSERT_EQ(arrow->size(), 5);
  EXPECT_EQ(arrow->id(2), "test-0-0");
  EXPECT_EQ(arrow->question(2).target, "entailment");
  EXPECT_EQ(widths(arrow->question(4)), "2");
}

TEST(Flickr30k, ReadsBothFormsAndRanks) {
  const auto task = open_in("flickr30k", "flickr30k");
  ASSERT_EQ(task->size(), 4);
  ASSERT_EQ(task->candidates(), 2);
  EXPECT_EQ(task->id(3), "3.jpg#1");
  EXPECT_EQ(task->candidate(1).decode()->width, 3);
  std::vector<Answered> answered;
  const std::vector<std::vector<float>> scores{{0.9F, 0.1F}, {0.2F, 0.3F}, {0.4F, 0.5F}, {0.3F, 0.95F}};
  for (int64_t i = 0; i < 4; ++i) {
    const Response response{.scores = scores[static_cast<std::size_t>(i)]};
    answered.push_back({i, response, task->judge(i, response)});
  }
  EXPECT_EQ(answered[1].judgement.parsed, "2");
  const std::vector<Score> table = task->table(answered);
  EXPECT_EQ(table[0].name, "IR@1");
  EXPECT_DOUBLE_EQ(table[0].value, 75);
  EXPECT_EQ(table[3].name, "TR@1");
  EXPECT_DOUBLE_EQ(table[3].value, 100);
  EXPECT_EQ(table[3].questions, 2);
  EXPECT_THROW(task->judge(0, {.scores = {1.0F}}), Error);
  const auto arrow = open_in("flickr30k", "flickr30k_arrow");
  EXPECT_EQ(arrow->size(), 3);
  EXPECT_EQ(arrow->candidate(1).decode()->width, 3);
}

TEST(Slake, AsksTheEnglishQuestions) {
  const auto task = open_in("slake", "slake");
  ASSERT_EQ(task->size(), 3);
  EXPECT_EQ(task->id(2), "11003");
  EXPECT_EQ(prompt_of(task->question(0)),
            "<image>\nWhat organ is this?\nAnswer the question using a single word or phrase.");
  EXPECT_EQ(widths(task->question(0)), "21");
  const Rows rows = table_of(*task, {"The lung", "no", "right"});
  EXPECT_EQ(rows[0], "open 50 2");
  EXPECT_EQ(rows[1], "closed 100 1");
  EXPECT_EQ(rows[2], "overall 66.6667 3");
}

TEST(Aid, ReadsTheAuthorsLists) {
  const auto train = open_in("aid", "aid_lists", {.split = "train50"}), test = open_in("aid", "aid_lists");
  ASSERT_EQ(train->size(), 3);
  ASSERT_EQ(test->size(), 3);
  EXPECT_EQ(train->id(0), "Airport/airport_3.jpg");  // in the order of the list
  EXPECT_EQ(train->id(1), "Airport/airport_1.jpg");
  const Question last = test->question(2);
  EXPECT_EQ(last.id, "BareLand/bareland_1.jpg");
  EXPECT_EQ(widths(last), "1");
  EXPECT_EQ(last.target, "bareland");
  EXPECT_EQ(prompt_of(last), "<image>\nWhat is the label for this image?\nAnswer the question using a single word.");
  EXPECT_EQ(table_of(*test, {"Airport.", "beach", "Bareland"}), (Rows{"accuracy 66.6667 3"}));
  EXPECT_EQ(open_in("aid", "aid_lists", {.split = "test20"})->size(), 4);
}

TEST(Aid, AListThatCannotBeReadIsRefused) {
  const test::TemporaryFolder folder;
  const auto said = [&](const std::string& split) {
    return sentence_of([&] { open_task("aid", {.data = folder.path(), .split = split}); });
  };
  std::filesystem::copy(kFolders / "aid_lists/Airport", folder / "Airport");
  std::filesystem::copy(kFolders / "aid_lists/train20.json", folder / "train20.json");
  EXPECT_NE(said("test20").find("has train20.json, but not test20.json"), std::string::npos) << said("test20");
  EXPECT_EQ(open_task("aid", {.data = folder.path(), .split = "test50"})->size(), 2);  // drawn: no list of it is there
  std::ofstream(folder / "test20.json")
      << R"([{"image": "Airport/airport_1.jpg", "conversations": [{"from": "human", "value": "Is this an airport?"},
             {"from": "gpt", "value": "yes"}]}])";
  EXPECT_NE(said("test20").find("record 1: does not ask \"What is the label for this image?\""), std::string::npos)
      << said("test20");
  std::ofstream(folder / "test20.json") << R"([{"image": "Airport/airport_1.jpg", "conversations": []}])";
  EXPECT_NE(said("test20").find("has no turn of \"human\""), std::string::npos) << said("test20");
}

TEST(Aid, DrawsTheSameSplitEverywhere) {
  const auto train = open_in("aid", "aid", {.split = "train50"}), test = open_in("aid", "aid");
  EXPECT_EQ(train->size(), 5);
  EXPECT_EQ(test->size(), 5);
  std::vector<std::string> ids;
  for (int64_t i = 0; i < 5; ++i) ids.push_back(train->id(i));
  EXPECT_EQ(ids, (Rows{"Airport/airport_3.jpg", "Airport/airport_4.jpg", "Airport/airport_6.jpg",
                       "BareLand/bareland_1.jpg", "BareLand/bareland_2.jpg"}));
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(std::count(ids.begin(), ids.end(), test->id(i)), 0);
  EXPECT_EQ(test->question(4).target, "bareland");
  EXPECT_EQ(test->judge(4, {.text = "Bareland."}).score, 1);
  EXPECT_EQ(open_in("aid", "aid", {.split = "train20"})->size(), 2);
  EXPECT_THROW(open_in("aid", "aid", {.split = "train30"}), Error);
}

TEST(Records, AreTheQuestionsWithTheirAnswers) {
  const auto set = records_of("scienceqa", {.data = kFolders / "scienceqa", .split = "train", .prompt = "QCM-A"});
  ASSERT_EQ(set->size(), 1);
  const data::Record record = set->read(0);
  ASSERT_EQ(record.turns.size(), 2U);
  EXPECT_EQ(record.turns[1].role, "assistant");
  EXPECT_EQ(record.turns[1].text, "The answer is A.");
  EXPECT_EQ(record.images.size(), 1U);
  EXPECT_THROW(records_of("flickr30k", {.data = kFolders / "flickr30k"}), Error);
  EXPECT_THROW(records_of("vqav2", {.data = kFolders / "vqav2", .split = "test-dev"})->read(0), Error);
}

TEST(Records, OfAHeadAreBareQuestions) {
  const auto vqa = records_of("vqav2", {.data = kFolders / "vqav2", .family = "meter"});
  const data::Record record = vqa->read(0);
  EXPECT_EQ(record.turns.front().text, "What color is the bus?");
  EXPECT_EQ(record.turns.back().text, R"({"dark red":0.9,"red":1.0})");
  const auto flickr = records_of("flickr30k", {.data = kFolders / "flickr30k", .family = "meter"});
  ASSERT_EQ(flickr->size(), 4);
  EXPECT_EQ(flickr->read(2).turns.size(), 1U);
  EXPECT_EQ(flickr->read(2).images.at(0).decode()->width, 3);
  const auto nlvr2 = records_of("nlvr2", {.data = kFolders / "nlvr2_arrow", .split = "dev", .family = "meter"});
  EXPECT_EQ(nlvr2->read(0).turns.back().text, "True");
  EXPECT_EQ(nlvr2->read(0).images.size(), 2U);
}

/// The sentence that refuses a set. `files`: names, with their texts.
std::string refused(const std::string& task, const std::string& split,
                    const std::vector<std::pair<std::string, std::string>>& files) {
  const test::TemporaryFolder folder;
  for (const auto& [name, text] : files) {
    if (name.ends_with("/"))
      std::filesystem::create_directories(folder / name);
    else
      std::ofstream(folder / name) << text;
  }
  return sentence_of([&] { open_task(task, {.data = folder.path(), .split = split}); });
}

TEST(Sets, WithoutAQuestionAreRefused) {
  const std::string questions = R"({"questions": []})", annotations = R"({"annotations": []})";
  for (const std::string& said :
       {refused("slake", "test", {{"imgs/", ""}, {"test.json", "[]"}}),
        refused("slake", "test", {{"imgs/", ""}, {"test.json", R"([{"q_lang": "zh"}])"}}),
        refused("vqav2", "val",
                {{"v2_OpenEnded_mscoco_val2014_questions.json", questions},
                 {"v2_mscoco_val2014_annotations.json", annotations}}),
        refused("scienceqa", "test", {{"problems.json", "{}"}, {"pid_splits.json", R"({"test": []})"}}),
        refused("nlvr2", "dev", {{"dev.json", "[]"}}),
        refused("snli_ve", "dev", {{"images/", ""}, {"snli_ve_dev.jsonl", "[]"}}),
        refused("flickr30k", "test", {{"dataset_flickr30k.json", R"({"images": []})"}}),
        refused("aid", "test50", {{"test50.json", "[]"}, {"train50.json", "[]"}})}) {
    EXPECT_TRUE(said.find("has no questions") != std::string::npos ||
                said.find("has no picture of the split") != std::string::npos ||
                said.find("does not hold AID") != std::string::npos)
        << said;
  }
  const test::TemporaryFolder folder;
  std::ofstream(folder / "empty.json") << "[]";
  const std::string said = sentence_of([&] { open_task("exact_match", {.data = folder / "empty.json"}); });
  EXPECT_NE(said.find("The task exact_match in "), std::string::npos) << said;
  EXPECT_THROW(records_of("slake", {.data = folder.path()}), Error);
}

TEST(Sets, AreToldByTheirFiles) {
  for (const auto& [task, folders] : {std::pair("scienceqa", Rows{"scienceqa"}),
                                      {"vqav2", {"vqav2", "vqav2_arrow"}},
                                      {"nlvr2", {"nlvr2_arrow"}},
                                      {"snli_ve", {"snli_ve", "snli_ve_arrow"}},
                                      {"flickr30k", {"flickr30k", "flickr30k_arrow"}}})
    for (const std::string& folder : folders) EXPECT_EQ(task_in(kFolders / folder), task) << folder;
  EXPECT_EQ(task_in(kFolders / "aid"), "");
  EXPECT_EQ(task_in(kFolders / "scienceqa/problems.json"), "");
}

TEST(Sets, WhatIsMissingIsNamed) {
  EXPECT_NE(sentence_of([] { open_in("slake", "aid"); }).find("imgs.zip"), std::string::npos);
  EXPECT_NE(sentence_of([] { open_in("vqav2", "aid"); }).find("v2_OpenEnded_mscoco_val2014_questions.json"),
            std::string::npos);
  EXPECT_NE(sentence_of([] { open_in("nlvr2", "nowhere"); }).find("is not there"), std::string::npos);
  EXPECT_NE(sentence_of([] { open_in("scienceqa", "scienceqa", {.split = "minitest"}); }).find("no split \"minitest\""),
            std::string::npos);
}

}  // namespace
}  // namespace lithe::tasks
