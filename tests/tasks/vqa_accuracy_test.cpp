#include "tasks/vqa_accuracy.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "tasks/answer_words.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

/// TextVQA and OK-VQA normalise answers as VQAv2 does, always; their scores come from lmms-eval.
void expect_answers_of(const std::string& file) {
  const Json json = read_json_file(std::string(LITHE_TEST_DATA "/golden/benchmarks/") + file);
  int64_t compared = 0;
  for (const Json& record : json.at("records")) {
    const auto references = record.at("doc").at("answers").get<std::vector<std::string>>();
    for (const Json& response : record.at("responses")) {
      const std::string text = text::stripped(response.at("text").get<std::string>());
      const Json& result = response.at("result");
      EXPECT_EQ(vqa_answer(text), result.at("submission").at("answer")) << text;
      std::vector<std::string> normalised;
      for (const std::string& reference : references) normalised.push_back(vqa_answer(reference));
      // All alike are compared as they are; that must make no difference after vqa_answer().
      EXPECT_NEAR(vqa_accuracy(text, normalised), result.at("exact_match").get<double>(), 1e-9) << text;
      ++compared;
    }
  }
  EXPECT_GT(compared, 30);
}

TEST(VqaAccuracy, IsLmmsEvals) {
  expect_answers_of("textvqa_val.json");
  expect_answers_of("ok_vqa_val2014.json");
}

TEST(VqaAccuracy, CountsTheOthers) {
  const std::vector<std::string> people{"red",  "red",  "Red.", "dark red", "blue",
                                        "blue", "blue", "blue", "blue",     "blue"};
  EXPECT_DOUBLE_EQ(vqa_accuracy("red", people), (3 * (2.0 / 3) + 7) / 10);
  EXPECT_DOUBLE_EQ(vqa_accuracy("a blue", people), 1);
  EXPECT_DOUBLE_EQ(vqa_accuracy("dark red", people), 0.9 / 3);
  EXPECT_DOUBLE_EQ(vqa_accuracy("green", people), 0);
  EXPECT_DOUBLE_EQ(vqa_accuracy("x", {}), 0);
}

TEST(VqaAccuracy, ReferencesThatAgreeAreTakenAsTheyAre) {
  EXPECT_DOUBLE_EQ(vqa_accuracy("10:20 pm", std::vector<std::string>(10, "10:20 PM")),
                   0);  // the evaluation's own fault
  EXPECT_DOUBLE_EQ(vqa_accuracy("Yes", std::vector<std::string>(10, "yes")), 1);
}

TEST(AnswerWords, DropWhatDoesNotCount) {
  EXPECT_EQ(normalized_answer("The lungs, Two."), "lungs 2");
  EXPECT_EQ(normalized_answer("3.5 a.m."), "3.5 am");
  EXPECT_EQ(normalized_answer("1,,2"), "1 2");  // two commas are not one between digits
  EXPECT_EQ(vqa_normalized("1,,2"), "12");
  EXPECT_EQ(normalized_answer(std::string(40, '.')), std::string(8, '.'));
  EXPECT_EQ(vqa_answer("...٣"), ".٣");  // digits of every script, as Python's patterns have them
}

}  // namespace
}  // namespace lithe::tasks
