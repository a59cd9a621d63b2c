#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "serve/answer_json.h"
#include "serve/answer_queue.h"
#include "serve/api_key.h"
#include "serve/byte_budget.h"
#include "serve/fields.h"
#include "serve/metrics.h"
#include "serve/refusal.h"
#include "serve/response.h"

namespace lithe::serve {
namespace {

TEST(AnswerQueue, HandsOverTextInOrderAndWakesTheReader) {
  int woken = 0;
  AnswerQueue queue([&woken] { ++woken; });
  EXPECT_TRUE(queue.take().empty());
  EXPECT_TRUE(queue.push(0, "a"));
  EXPECT_TRUE(queue.push(0, "b"));
  queue.end(0, {.ticket = 3});
  EXPECT_EQ(woken, 3);
  const AnswerQueue::News news = queue.take();
  ASSERT_EQ(news.pieces.size(), 1U);
  EXPECT_EQ(news.pieces[0].text, "ab");
  ASSERT_TRUE(news.outcomes.has_value());
  ASSERT_EQ(news.outcomes->size(), 1U);
  EXPECT_EQ(news.outcomes->front().ticket, 3);
  EXPECT_TRUE(news.ended.empty());
  EXPECT_TRUE(queue.take().empty());
}

TEST(AnswerQueue, HoldsOnlySoMuchTextThatNobodyTakes) {
  AnswerQueue queue([] {});
  const std::string half(AnswerQueue::kMostBytes / 2, 'x');
  EXPECT_TRUE(queue.push(0, half));
  EXPECT_TRUE(queue.push(1, half));
  EXPECT_FALSE(queue.push(0, "x"));
  EXPECT_EQ(queue.take().pieces[1].text, half);
  EXPECT_TRUE(queue.push(0, "x"));
}

TEST(AnswerQueue, KeepsAnswersApartAndRatingsWithTheirText) {
  int woken = 0;
  AnswerQueue queue([&woken] { ++woken; });
  queue.push(2, session::TokenRating{.chosen = {.id = 7, .log_probability = -1}, .best = {}});
  EXPECT_EQ(woken, 0);  // its text wakes the reader
  EXPECT_TRUE(queue.push(2, "c"));
  EXPECT_TRUE(queue.push(0, "a"));
  const AnswerQueue::News news = queue.take();
  ASSERT_EQ(news.pieces.size(), 3U);
  EXPECT_EQ(news.pieces[0].text, "a");
  EXPECT_TRUE(news.pieces[1].empty());
  EXPECT_EQ(news.pieces[2].text, "c");
  ASSERT_EQ(news.pieces[2].ratings.size(), 1U);
  EXPECT_EQ(news.pieces[2].ratings[0].chosen.id, 7);
}

TEST(Usage, CountsThePictureTokensThatRanWhateverTheTextDid) {
  session::Answer answer;
  EXPECT_EQ(kept_image_tokens(answer), 0);
  answer.timings.prompt_rows = 10;
  answer.timings.vision_rows = 6;
  answer.cache.rows_after_prefill = answer.rows_run = {10, 5};  // 4 of the picture and 1 of the text in the second
  answer.kept = {{.views = {}, .layers = {{.layer = 1, .kept = {0, 1, 3, 4}, .total = 6}}}};
  EXPECT_EQ(kept_image_tokens(answer), 5);
}

TEST(AnswerQueue, EndsWhenAllPromptsHaveEnded) {
  AnswerQueue queue([] {}, 2);
  queue.end(1, {.ticket = 8, .answer = {.text = "c"}, .more = {{.text = "d"}}});
  const AnswerQueue::News first = queue.take();
  EXPECT_FALSE(first.outcomes.has_value());
  ASSERT_EQ(first.ended.size(), 2U);
  EXPECT_EQ(first.ended[0].answer, 2U);
  EXPECT_EQ(first.ended[0].what.text, "c");
  EXPECT_EQ(first.ended[1].answer, 3U);
  EXPECT_EQ(first.ended[1].what.text, "d");
  queue.end_one(0, {.text = "a"});
  EXPECT_EQ(queue.take().ended.at(0).what.text, "a");
  queue.end(0, {.ticket = 7, .answer = {.text = "a"}, .more = {{.text = "b"}}});
  const AnswerQueue::News last = queue.take();
  ASSERT_TRUE(last.outcomes.has_value());
  ASSERT_EQ(last.outcomes->size(), 2U);
  EXPECT_EQ(last.outcomes->at(0).ticket, 7);
  EXPECT_EQ(last.outcomes->at(1).ticket, 8);
}

TEST(AnswerQueue, EndsWithTheFirstPromptThatFails) {
  for (const bool cancelled : {false, true}) {
    AnswerQueue queue([] {}, 3);
    queue.end(0, {.ticket = 1});
    EXPECT_FALSE(queue.take().outcomes.has_value());
    session::Outcome bad{.ticket = 2};
    if (cancelled) {
      bad.answer.stop = session::StopReason::cancelled;
    } else {
      bad.error = Error(Fault::bad_request, "bad");
    }
    queue.end(1, bad);
    queue.end(2, {.ticket = 3});
    const AnswerQueue::News news = queue.take();
    ASSERT_TRUE(news.outcomes.has_value());
    ASSERT_EQ(news.outcomes->size(), 1U);
    EXPECT_EQ(news.outcomes->front().ticket, 2);
    EXPECT_TRUE(queue.take().empty());
  }
}

TEST(AnswerQueue, IsAbandonedForGood) {
  AnswerQueue queue([] {});
  const std::stop_token token = queue.token();
  EXPECT_FALSE(token.stop_requested());
  queue.abandon();
  EXPECT_TRUE(token.stop_requested());
}

TEST(ByteBudget, GetsItsSharesBack) {
  ByteBudget budget(10);
  {
    ByteBudget::Share first(budget), second(budget);
    EXPECT_EQ(budget.left(), 10U);
    EXPECT_TRUE(first.grow(4));
    EXPECT_TRUE(first.grow(2));
    EXPECT_FALSE(second.grow(5));
    EXPECT_EQ(budget.left(), 4U);
    EXPECT_TRUE(second.grow(4));
    EXPECT_FALSE(first.grow(1));
    EXPECT_TRUE(first.grow(0));
  }
  EXPECT_EQ(budget.left(), 10U);
}

TEST(ByteBudget, IsExactFromSeveralThreads) {
  constexpr uint64_t kBytes = 1000;
  ByteBudget budget(kBytes);
  std::atomic<uint64_t> grown = 0, most = 0;
  const auto work = [&] {
    for (int i = 0; i < 2000; ++i) {
      ByteBudget::Share share(budget);
      for (uint64_t bytes = 1; share.grow(bytes); bytes *= 2) grown += bytes;
      most = std::max<uint64_t>(most, budget.left());
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(grown, 0U);
  EXPECT_LE(most, kBytes);  // else it went below zero
  EXPECT_EQ(budget.left(), kBytes);
}

TEST(ApiKey, MustBeWhole) {
  const std::vector<std::string> keys{"xyz", "abc"};
  EXPECT_EQ(key_of("Bearer abc", keys), 1U);
  EXPECT_EQ(key_of("BEARER xyz", keys), 0U);
  for (const char* wrong : {"Bearer ab", "Bearer abcd", "Bearer abC", "Bearer  abc", "abc", "", "Bearer", "Basic abc"})
    EXPECT_FALSE(key_of(wrong, keys)) << wrong;
  EXPECT_FALSE(key_of("Bearer abc", {}));
}

TEST(Histogram, CountsUpToEachBound) {
  Histogram histogram({1, 2.5});
  for (const double value : {0.5, 1.0, 2.0, 9.0}) histogram.observe(value);
  EXPECT_EQ(histogram.text("t", "m=\"x\""),
            "t_bucket{m=\"x\",le=\"1\"} 2\nt_bucket{m=\"x\",le=\"2.5\"} 3\nt_bucket{m=\"x\",le=\"+Inf\"} 4\n"
            "t_sum{m=\"x\"} 12.5\nt_count{m=\"x\"} 4\n");
  histogram.observe(1234567.25);  // the sum keeps all its digits
  EXPECT_NE(histogram.text("t", "m=\"x\"").find("t_sum{m=\"x\"} 1234579.75\n"), std::string::npos);
}

TEST(Fields, WholeNumbersHave64Bits) {
  const auto whole = [](const Json& value) {
    Json object;
    object["x"] = value;
    return Fields(object).whole("x");
  };
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max(), kLeast = std::numeric_limits<int64_t>::min();
  for (const int64_t value : {kMost, kLeast, (int64_t{1} << 53) + 1, int64_t{-3}}) EXPECT_EQ(whole(value), value);
  EXPECT_EQ(whole(uint64_t{kMost}), kMost);
  EXPECT_EQ(whole(16.0), 16);
  EXPECT_EQ(whole(nullptr), std::nullopt);
  for (const Json& wrong : {Json(uint64_t{1} << 63), Json(1.5), Json(1e16), Json(-1e300), Json("1"), Json(true)})
    EXPECT_THROW(whole(wrong), Refusal) << wrong;
}

TEST(Metrics, EscapeTheNameOfTheModel) {
  EXPECT_NE(Metrics().text("a\"b\\c\nd").find("{model_name=\"a\\\"b\\\\c d\"} 0"), std::string::npos);
}

TEST(Refusals, AreJsonWhateverTheyName) {
  const Json error = Refusal(400, "bad \x01\xff text", "f\xffield", "").json().at("error");
  EXPECT_EQ(error.at("message"), "bad \\x01\\xff text");
  EXPECT_EQ(error.at("param"), "f\\xffield");
  EXPECT_TRUE(error.at("code").is_null());
  EXPECT_NO_THROW(error.dump());
  EXPECT_EQ(Refusal(503, "").json().at("error").at("type"), "server_error");
}

TEST(Framing, ChunksCarryTheirLength) {
  EXPECT_EQ(framed(std::string(26, 'x'), {}), "1a\r\n" + std::string(26, 'x') + "\r\n");
  EXPECT_EQ(framed("x", {.chunked = false}), "x");
  EXPECT_EQ(stream_tail({}), "0\r\n\r\n");
  EXPECT_EQ(event_of("{}"), "data: {}\n\n");
}

TEST(Refusal, BlamesAFieldForEverythingButTooLittleMemory) {
  try {
    blame_field(Error(Fault::bad_request, "no such plan"), "plan");
  } catch (const Refusal& refusal) {
    EXPECT_EQ(refusal.status(), 400);
    EXPECT_EQ(refusal.json().at("error").at("param"), "plan");
  }
  EXPECT_THROW(blame_field(Error(Fault::bad_file, "damaged"), "plan"), Refusal);
  try {
    blame_field(Error(Fault::no_memory, "too little memory"), "plan");
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::no_memory);
  }
}

}  // namespace
}  // namespace lithe::serve
