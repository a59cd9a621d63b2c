#include "tasks/gold_answers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "sentence_of.h"

namespace lithe::tasks {
namespace {

using lithe::test::sentence_of;

std::unique_ptr<Task> gold(const std::string& name, const std::string& folder, const std::string& split = {}) {
  return gold_answers(open_task(name, {.data = LITHE_TEST_DATA + folder, .split = split}), name);
}

std::vector<Score> table_of(const std::vector<AnswerLoss>& losses) {
  std::vector<Answered> answered;
  for (std::size_t i = 0; i < losses.size(); ++i)
    answered.push_back({.question = static_cast<int64_t>(i), .response = {.loss = losses[i]}});
  return gold("gqa", "/benchmarks/gqa")->table(answered);
}

TEST(GoldAnswers, CountTokensNotQuestions) {
  const auto table = table_of({{2.0, 1}, {3.0, 4}});
  ASSERT_EQ(table.size(), 2U);
  EXPECT_EQ(table[0].name, "nll");
  EXPECT_DOUBLE_EQ(table[0].value, 1.0);  // 5 nats, 5 tokens
  EXPECT_EQ(table[0].questions, 2);
  EXPECT_EQ(table[1].name, "perplexity");
  EXPECT_DOUBLE_EQ(table[1].value, std::exp(1.0));
  // Off the mean by +1 and -1: sqrt(2 / 1 * (1 + 1)) / 5
  EXPECT_DOUBLE_EQ(*table[0].standard_error, 2.0 / 5);
  EXPECT_DOUBLE_EQ(*table[1].standard_error, std::exp(1.0) * 2.0 / 5);
}

TEST(GoldAnswers, OfOneLengthHaveTheErrorOfAMean) {
  const std::vector<double> values{1.0, 2.0, 4.0, 5.0};
  const auto table = table_of({{1.0, 1}, {2.0, 1}, {4.0, 1}, {5.0, 1}});
  EXPECT_DOUBLE_EQ(table[0].value, 3.0);
  EXPECT_DOUBLE_EQ(*table[0].standard_error, *mean_row("", values).standard_error / 100);
}

TEST(GoldAnswers, OneQuestionHasNoError) {
  const auto table = table_of({{2.0, 4}});
  EXPECT_DOUBLE_EQ(table.at(0).value, 0.5);
  EXPECT_FALSE(table[0].standard_error);
  EXPECT_TRUE(table_of({}).empty());
}

TEST(GoldAnswers, AreThoseThatModelsAreTunedToGive) {
  const auto task = gold("textvqa_val", "/benchmarks/textvqa_val");
  const auto plain = open_task("textvqa_val", {.data = LITHE_TEST_DATA "/benchmarks/textvqa_val"});
  ASSERT_EQ(task->size(), plain->size());
  for (int64_t i = 0; i < task->size(); ++i) {
    EXPECT_EQ(task->id(i), plain->id(i));
    EXPECT_EQ(task->question(i).target, plain->question(i).target);
  }
}

TEST(GoldAnswers, SecretOnesAreRefused) {
  const auto task = gold("vqav2", "/tasks/vqav2", "test-dev");
  EXPECT_NE(sentence_of([&] { task->question(0); }).find("has no public answer to score"), std::string::npos);
  EXPECT_NE(sentence_of([] { gold("flickr30k", "/tasks/flickr30k"); }).find("no answers in words"), std::string::npos);
}

}  // namespace
}  // namespace lithe::tasks
