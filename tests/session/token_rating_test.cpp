#include "session/token_rating.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/error.h"
#include "session/batch_support.h"
#include "session/tokens.h"

namespace lithe::session {
namespace {

Request question() {
  return ask("what is the color of the rectangle?");
}

TEST(TokenRating, IsTheLogSoftmax) {
  const std::vector<float> logits{1.0f, 3.0f, 2.0f, 3.0f, -1.0f};
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  const TokenRating rating = rating_of(logits, 2, 3);
  EXPECT_EQ(rating.chosen.id, 2);
  EXPECT_NEAR(rating.chosen.log_probability, 2.0 - std::log(sum), 1e-12);
  ASSERT_EQ(rating.best.size(), 3U);
  const std::vector<int64_t> expected{1, 3, 2};  // of equal ones, the lower id first
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(rating.best[i].id, expected[i]);
    EXPECT_NEAR(rating.best[i].log_probability, logits[static_cast<size_t>(expected[i])] - std::log(sum), 1e-12);
  }
  EXPECT_TRUE(rating_of(logits, 0, 0).best.empty());
  EXPECT_EQ(rating_of(logits, 0, 99).best.size(), logits.size());
}

TEST(TokenRating, IsFiniteForLogitsOfAnySize) {
  const std::vector<float> logits{3e38f, -3e38f, 0.0f};
  EXPECT_EQ(rating_of(logits, 0, 0).chosen.log_probability, 0);
  EXPECT_TRUE(std::isfinite(rating_of(logits, 1, 0).chosen.log_probability));
}

TEST(TokenRating, ComesForEachTokenOfAnAnswerButTheEnd) {
  std::vector<int64_t> told;
  std::string text;
  AnswerOptions options{.max_new_tokens = 8, .best_tokens = 2};
  options.on_rating = [&](const TokenRating& token) {
    EXPECT_EQ(token.text_offset, static_cast<int64_t>(text.size()));  // this answer is ASCII
    told.push_back(token.chosen.id);
  };
  options.on_text = [&](const std::string& piece) {
    text += piece;
    return true;
  };
  const Answer answer = demo().answer(question(), options);
  ASSERT_EQ(answer.stop, StopReason::eos);
  ASSERT_EQ(answer.ratings.size() + 1, answer.tokens.size());
  ASSERT_EQ(told.size(), answer.ratings.size());
  std::string bytes;
  for (size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(answer.ratings[i].chosen.id, answer.tokens[i]);
    EXPECT_EQ(told[i], answer.tokens[i]);
    EXPECT_EQ(answer.ratings[i].best.at(0).id, answer.tokens[i]);  // greedy
    EXPECT_LE(answer.ratings[i].chosen.log_probability, 0);
    bytes += bytes_of_token(demo(), answer.tokens[i]);
  }
  EXPECT_EQ(bytes.substr(bytes.starts_with(' ') ? 1 : 0), answer.text);
  EXPECT_TRUE(demo().answer(question(), {.max_new_tokens = 2}).ratings.empty());
}

TEST(TokenRating, IsOfTheModelsOwnLogits) {
  const TokenRating plain = demo().answer(question(), {.max_new_tokens = 1, .best_tokens = 5}).ratings.at(0);
  SamplingPolicy policy{.temperature = 3, .repetition_penalty = 1.5, .frequency_penalty = 1, .presence_penalty = 1};
  policy.biases = {{.id = plain.chosen.id, .bias = -100}};
  const TokenRating changed =
      demo().answer(question(), {.max_new_tokens = 1, .sampling = policy, .best_tokens = 5}).ratings.at(0);
  EXPECT_NE(changed.chosen.id, plain.chosen.id);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(changed.best[i].id, plain.best[i].id);
    EXPECT_EQ(changed.best[i].log_probability, plain.best[i].log_probability);
  }
}

TEST(TokenRating, RefusesTooManyTokens) {
  EXPECT_THROW(demo().answer(question(), {.best_tokens = kMostBestTokens + 1}), Error);
  EXPECT_THROW(demo().answer(question(), {.best_tokens = -1}), Error);
}

}  // namespace
}  // namespace lithe::session
