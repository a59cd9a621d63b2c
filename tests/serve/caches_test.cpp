#include "serve/support.h"

namespace lithe::serve {
namespace {

int64_t cached_tokens(const Json& reply) {
  return reply.at("usage").at("prompt_tokens_details").at("cached_tokens").get<int64_t>();
}

int64_t prompt_tokens(const Json& reply) {
  return reply.at("usage").at("prompt_tokens").get<int64_t>();
}

Json answer(const Running& running, const Json& body) {
  const Reply reply = post(running.port(), kChat, body);
  EXPECT_EQ(reply.status, 200) << reply.body;
  return reply.json();
}

const Json& token_ids(const Json& reply) {
  return reply.at("choices").at(0).at("token_ids");
}

TEST(Caches, ASecondQuestionAboutAPictureRunsOnlyItsText) {
  const Shipped one = shipped_questions(1).front();
  const Shipped other{one.image, "is there a blue shape?"};
  const Running running;
  const Json first = answer(running, chat_body(one)), second = answer(running, chat_body(other));
  EXPECT_EQ(cached_tokens(first), 0);
  EXPECT_GT(cached_tokens(second), alone(one).timings.vision_rows);
  EXPECT_EQ(second.at("timings").at("cache_n").get<int64_t>(), cached_tokens(second));
  EXPECT_EQ(second.at("timings").at("prompt_n").get<int64_t>(), prompt_tokens(second) - cached_tokens(second));
  EXPECT_EQ(token_ids(second).get<std::vector<int64_t>>(), alone(other).tokens);
  const Json again = answer(running, chat_body(one));
  EXPECT_EQ(cached_tokens(again), prompt_tokens(again) - 1);
  EXPECT_EQ(token_ids(again), token_ids(first));
  const auto tokens = static_cast<double>(2 * prompt_tokens(first) + prompt_tokens(second));
  EXPECT_TRUE(running.reaches("vllm:prefix_cache_queries_total", tokens));
  EXPECT_EQ(running.metric("vllm:prefix_cache_hits_total"), cached_tokens(second) + cached_tokens(again));
  EXPECT_EQ(running.metric("vllm:mm_cache_queries_total"), 3);
  EXPECT_EQ(running.metric("vllm:mm_cache_hits_total"), 2);
  EXPECT_GT(running.metric("lithe_prefix_cache_bytes"), 0);
  EXPECT_GT(running.metric("lithe_picture_cache_bytes"), 0);
}

// Nobody learns by the time of an answer what others asked.
TEST(Caches, ASaltKeepsUsersApart) {
  const Running running;
  Json body = chat_body(shipped_questions(1).front());
  for (const Json& salt : {Json(nullptr), Json("a"), Json("b")}) {
    body["cache_salt"] = salt;
    EXPECT_EQ(cached_tokens(answer(running, body)), 0) << salt;
  }
  EXPECT_EQ(running.metric("vllm:mm_cache_hits_total"), 0);
  EXPECT_GT(cached_tokens(answer(running, body)), 0);
  for (const Json& salt : {Json(""), Json(7), Json(std::string(1025, 'x'))}) {
    body["cache_salt"] = salt;
    const Reply refused = post(running.port(), kChat, body);
    EXPECT_EQ(refused.status, 400) << refused.body;
    EXPECT_EQ(refused.json().at("error").at("param"), "cache_salt");
  }
}

TEST(Caches, CanBeOff) {
  ServerOptions options;
  options.prefix_cache_bytes = options.picture_cache_bytes = 0;
  const Running running(options);
  const Json body = chat_body(shipped_questions(1).front());
  const Json first = answer(running, body), again = answer(running, body);
  EXPECT_EQ(cached_tokens(again), 0);
  EXPECT_EQ(first.at("usage"), again.at("usage"));
  EXPECT_EQ(running.metric("vllm:prefix_cache_hits_total"), 0);
  EXPECT_EQ(running.metric("vllm:mm_cache_queries_total"), 0);
}

// A client that leaves takes nothing away from those who ask the same.
TEST(Caches, ClientsThatVanishLeaveRightRows) {
  const Shipped one = shipped_questions(1).front();
  Json body = chat_body(one);
  const Running running;
  const Json expected = answer(running, body);
  Json longer = body;
  longer.update({{"ignore_eos", true}, {"max_tokens", 1500}, {"stream", true}});
  for (int i = 1; i <= 2; ++i) {
    Client client(running.port());
    client.send(request_text("POST", kChat, longer.dump()));
    client.read_until("\"delta\":{\"content\"");
    client.close();
    ASSERT_TRUE(running.reaches("lithe_requests_abandoned_total", i));
    EXPECT_EQ(token_ids(answer(running, body)), token_ids(expected));
  }
}

}  // namespace
}  // namespace lithe::serve
