// Several answers to a request, their seeds, log probabilities, changes of logits and formats.
#include <algorithm>
#include <map>

#include "base/mixed.h"
#include "serve/support.h"
#include "session/tokens.h"

namespace lithe::serve {
namespace {

constexpr const char* kCompletion = "/v1/completions";

std::vector<int64_t> ids_of(const Json& choice) {
  return choice.at("token_ids").get<std::vector<int64_t>>();
}

session::AnswerOptions drawn(uint64_t seed) {
  const session::SamplingPolicy policy{.temperature = 20, .top_k = 40, .seed = seed};
  return {.max_new_tokens = 20, .ignore_eos = true, .sampling = policy};
}

Json drawn_body(const Shipped& one) {
  Json body = chat_body(one);
  body.update({{"temperature", 20}, {"top_k", 40}, {"max_tokens", 20}, {"ignore_eos", true}});
  return body;
}

/// The text and the token ids of each choice of a stream, and how often each ended.
struct Streamed {
  std::map<int64_t, std::string> texts;
  std::map<int64_t, Json> last;
  std::map<int64_t, int64_t> begins;
};
Streamed streamed(const Stream& stream) {
  Streamed all;
  for (const Json& event : stream.events) {
    for (const Json& choice : event.at("choices")) {
      const int64_t index = choice.at("index");
      const Json delta = choice.value("delta", Json::object());
      if (delta.contains("role")) ++all.begins[index];
      all.texts[index] += delta.value("content", choice.value("text", ""));
      if (choice.at("finish_reason").is_null()) continue;
      EXPECT_FALSE(all.last.contains(index));
      all.last[index] = choice;
    }
  }
  return all;
}

TEST(Choices, AreDrawnFromSeedsOfTheirOwn) {
  const Shipped one = shipped_questions(1).front();
  const Running running;
  Json body = drawn_body(one);
  body.update({{"seed", 11}, {"n", 4}, {"best_of", 4}});
  const Json reply = post(running.port(), kChat, body).json();
  ASSERT_EQ(reply.at("choices").size(), 4U);
  int64_t made = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const Json& choice = reply.at("choices")[i];
    const session::Answer expected = alone(one, drawn(i == 0 ? 11 : mixed(11, i)));
    EXPECT_EQ(choice.at("index"), i);
    EXPECT_EQ(ids_of(choice), expected.tokens);
    EXPECT_EQ(choice.at("message").at("content").get<std::string>(), expected.text);
    EXPECT_EQ(choice.at("finish_reason"), "length");
    made += std::ssize(expected.tokens);
    EXPECT_EQ(reply.at("usage").at("prompt_tokens"), expected.timings.prompt_rows);
  }
  EXPECT_EQ(reply.at("usage").at("completion_tokens"), made);
  EXPECT_TRUE(running.reaches("vllm:prompt_tokens_total", reply.at("usage").at("prompt_tokens").get<double>()));
  EXPECT_TRUE(running.reaches("vllm:generation_tokens_total", static_cast<double>(made)));
  EXPECT_NE(get(running.port(), "/metrics").body.find("finished_reason=\"length\"} 4\n"), std::string::npos);
  EXPECT_TRUE(running.reaches("vllm:e2e_request_latency_seconds_count", 1));
}

TEST(Choices, StreamWithTheirIndex) {
  const Shipped one = shipped_questions(1).front();
  const Running running;
  Json body = drawn_body(one);
  body.update({{"seed", 3}, {"n", 3}});
  const Json whole = post(running.port(), kChat, body).json();
  body.update({{"stream", true}, {"stream_options", {{"include_usage", true}}}});
  const Stream stream = stream_of(post(running.port(), kChat, body).body);
  EXPECT_TRUE(stream.done);
  const Streamed all = streamed(stream);
  ASSERT_EQ(all.last.size(), 3U);
  for (int64_t i = 0; i < 3; ++i) {
    const Json& expected = whole.at("choices")[static_cast<std::size_t>(i)];
    EXPECT_EQ(all.texts.at(i), expected.at("message").at("content").get<std::string>());
    EXPECT_EQ(all.last.at(i).at("token_ids"), expected.at("token_ids"));
    EXPECT_EQ(all.begins.at(i), 1);
  }
  EXPECT_EQ(without_cached(stream.events.back().at("usage")), without_cached(whole.at("usage")));
  body = {{"prompt", "is there a circle?"}, {"max_tokens", 6}, {"n", 2}, {"stream", true}};
  EXPECT_EQ(streamed(stream_of(post(running.port(), kCompletion, body).body)).last.size(), 2U);
}

// Whoever reads a stream knows at once that a choice is done.
TEST(Choices, EndWhileOthersGoOn) {
  const Shipped one = shipped_questions(1).front();
  const Running running;
  Json body = drawn_body(one);
  body.update({{"seed", 3}, {"n", 3}, {"max_tokens", 40}});
  const Json free = post(running.port(), kChat, body).json().at("choices");
  const auto text_of = [&](std::size_t i) { return free[i].at("message").at("content").get<std::string>(); };
  std::string stop;  // that ends the second one early, and no other
  for (std::size_t at = 4; at + 6 < text_of(1).size() / 2 && stop.empty(); ++at) {
    const std::string some = text_of(1).substr(at, 6);
    const bool is_text = std::ranges::all_of(some, [](char c) { return c >= ' ' && c <= '~'; });
    if (is_text && text_of(0).find(some) == std::string::npos && text_of(2).find(some) == std::string::npos)
      stop = some;
  }
  ASSERT_NE(stop, "");
  body.update({{"stop", stop}, {"stream", true}});
  const Stream stream = stream_of(post(running.port(), kChat, body).body);
  std::map<int64_t, std::size_t> ends, last_texts;
  for (std::size_t at = 0; at < stream.events.size(); ++at) {
    for (const Json& choice : stream.events[at].at("choices")) {
      if (!choice.at("finish_reason").is_null()) ends[choice.at("index")] = at;
      if (choice.at("delta").contains("content")) last_texts[choice.at("index")] = at;
    }
  }
  ASSERT_EQ(ends.size(), 3U);
  EXPECT_GT(ends[1], last_texts[1]);
  EXPECT_LT(ends[1], last_texts[0]);
  EXPECT_LT(ends[1], last_texts[2]);
  const Streamed all = streamed(stream);
  EXPECT_EQ(all.last.at(1).at("finish_reason"), "stop");
  EXPECT_EQ(all.last.at(0).at("finish_reason"), "length");
  EXPECT_EQ(all.texts.at(0), text_of(0));
  EXPECT_EQ(all.texts.at(1), text_of(1).substr(0, text_of(1).find(stop)));
}

TEST(Choices, HaveTheirLimits) {
  ServerOptions options;
  options.limits.sequences = 4;
  const Running running(options);
  Json body = chat_body("hi");
  const auto refused = [&](const Json& change, const char* param, const char* words) {
    Json asked = body;
    asked.update(change);
    const Reply reply = post(running.port(), kChat, asked);
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_EQ(reply.json().at("error").at("param"), param);
    EXPECT_NE(reply.message().find(words), std::string::npos) << reply.message();
  };
  refused({{"n", 0}}, "n", "from 1 to 16");
  refused({{"n", 17}}, "n", "from 1 to 16");
  refused({{"n", 5}}, "n", "--batch-size");
  refused({{"n", 1.5}}, "n", "whole");
  refused({{"n", 2}, {"best_of", 3}}, "best_of", "must equal n");
  refused({{"best_of", 2}}, "best_of", "must equal n");
  body.update({{"n", 4}, {"max_tokens", 2}});
  EXPECT_EQ(post(running.port(), kChat, body).json().at("choices").size(), 4U);
}

TEST(Seeds, FollowFromTheServersAndTheNumberOfTheRequest) {
  const Shipped one = shipped_questions(1).front();
  ServerOptions options;
  options.seed = 77;
  const Running running(options);
  const Json body = drawn_body(one);
  for (uint64_t number = 0; number < 3; ++number) {
    EXPECT_EQ(get(running.port(), "/health").status, 200);  // not counted
    EXPECT_EQ(ids_of(post(running.port(), kChat, body).json().at("choices")[0]),
              alone(one, drawn(mixed(77, number))).tokens);
  }
  EXPECT_EQ(post(running.port(), kChat, std::string("{")).status, 400);  // counted
  Json seeded = body;
  seeded["seed"] = 5;
  EXPECT_EQ(ids_of(post(running.port(), kChat, seeded).json().at("choices")[0]), alone(one, drawn(5)).tokens);
  EXPECT_EQ(ids_of(post(running.port(), kChat, body).json().at("choices")[0]), alone(one, drawn(mixed(77, 5))).tokens);
}

std::string bytes_of(const Json& entry) {
  std::string bytes;
  for (const Json& byte : entry.at("bytes")) bytes += static_cast<char>(byte.get<int>());
  return bytes;
}

TEST(LogProbabilities, OfAChatHaveOpenAisShape) {
  const Shipped one = shipped_questions(1).front();
  const session::Answer expected = alone(one, {.max_new_tokens = 8, .best_tokens = 3});
  const Running running;
  Json body = chat_body(one);
  body.update({{"logprobs", true}, {"top_logprobs", 3}});
  const Json choice = post(running.port(), kChat, body).json().at("choices")[0];
  const Json& content = choice.at("logprobs").at("content");
  EXPECT_TRUE(choice.at("logprobs").at("refusal").is_null());
  ASSERT_EQ(content.size(), expected.ratings.size());
  ASSERT_GT(content.size(), 0U);
  std::string text;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const session::TokenRating& rating = expected.ratings[i];
    EXPECT_NEAR(content[i].at("logprob").get<double>(), rating.chosen.log_probability, 1e-4);
    EXPECT_EQ(bytes_of(content[i]), session::bytes_of_token(demo(), rating.chosen.id));
    EXPECT_EQ(content[i].at("token").get<std::string>(), bytes_of(content[i]));
    ASSERT_EQ(content[i].at("top_logprobs").size(), 3U);
    for (std::size_t j = 0; j < 3; ++j) {
      const Json& top = content[i].at("top_logprobs")[j];
      EXPECT_EQ(bytes_of(top), session::bytes_of_token(demo(), rating.best[j].id));
      EXPECT_EQ(top.size(), 3U);  // no alternatives of its own
    }
    text += bytes_of(content[i]);
  }
  EXPECT_EQ(text.substr(text.starts_with(' ') ? 1 : 0), choice.at("message").at("content").get<std::string>());
  body.erase("top_logprobs");
  const Json without = post(running.port(), kChat, body).json().at("choices")[0].at("logprobs").at("content");
  EXPECT_EQ(without.size(), content.size());
  EXPECT_TRUE(without[0].at("top_logprobs").empty());
  body["logprobs"] = false;
  EXPECT_TRUE(post(running.port(), kChat, body).json().at("choices")[0].at("logprobs").is_null());
}

TEST(LogProbabilities, StreamedEqualUnstreamed) {
  const Shipped one = shipped_questions(1).front();
  const Running running;
  Json body = drawn_body(one);
  body.update({{"logprobs", true}, {"top_logprobs", 2}, {"seed", 9}, {"n", 2}});
  const Json whole = post(running.port(), kChat, body).json();
  body["stream"] = true;
  std::map<int64_t, Json> contents;
  for (const Json& event : stream_of(post(running.port(), kChat, body).body).events) {
    for (const Json& choice : event.at("choices")) {
      Json& content = contents.emplace(choice.at("index"), Json::array()).first->second;
      if (choice.at("logprobs").is_null()) continue;
      for (const Json& entry : choice.at("logprobs").at("content")) content.push_back(entry);
    }
  }
  for (int64_t i = 0; i < 2; ++i) {
    const Json& expected = whole.at("choices")[static_cast<std::size_t>(i)].at("logprobs").at("content");
    ASSERT_EQ(contents.at(i).size(), 20U);
    ASSERT_EQ(expected.size(), 20U);
    for (std::size_t k = 0; k < 20; ++k) EXPECT_EQ(contents.at(i)[k].at("token"), expected[k].at("token"));
  }
}

TEST(LogProbabilities, OfATextCompletionHaveOpenAisShape) {
  const Running running;
  Json body = {{"prompt", "is there a circle?"}, {"max_tokens", 6}, {"logprobs", 2}, {"ignore_eos", true}};
  const Json choice = post(running.port(), kCompletion, body).json().at("choices")[0];
  const Json& logprobs = choice.at("logprobs");
  for (const char* key : {"tokens", "token_logprobs", "top_logprobs", "text_offset"})
    EXPECT_EQ(logprobs.at(key).size(), 6U) << key;
  for (std::size_t i = 0; i < 6; ++i) {
    const Json& best = logprobs.at("top_logprobs")[i];
    EXPECT_GE(best.size(), 1U);
    EXPECT_LE(best.size(), 3U);
    EXPECT_EQ(best.at(logprobs.at("tokens")[i].get<std::string>()), logprobs.at("token_logprobs")[i]);
  }
  EXPECT_EQ(logprobs.at("text_offset")[0], 0);
  body["logprobs"] = 0;
  EXPECT_TRUE(
      post(running.port(), kCompletion, body).json().at("choices")[0].at("logprobs").at("top_logprobs").is_null());
  body["logprobs"] = 21;
  EXPECT_EQ(post(running.port(), kCompletion, body).json().at("error").at("param"), "logprobs");
}

TEST(LogProbabilities, OfBytesThatAreNoTextOfTheirOwn) {
  int64_t byte = 0;
  while (session::bytes_of_token(demo(), byte) != "\xE6") ++byte;
  const Running running;
  Json body = chat_body("hi");
  body.update({{"max_tokens", 1}, {"logprobs", true}});
  body["logit_bias"] = {{std::to_string(byte), 100}};
  const Json entry = post(running.port(), kChat, body).json().at("choices")[0].at("logprobs").at("content")[0];
  EXPECT_EQ(entry.at("token"), "\\xe6");
  EXPECT_EQ(entry.at("bytes"), Json::array({0xE6}));
}

TEST(Logits, BiasesAndPenaltiesChangeTheChoice) {
  const Shipped one = shipped_questions(1).front();
  const Running running;
  Json body = chat_body(one);
  body.update({{"max_tokens", 12}, {"ignore_eos", true}});
  const std::vector<int64_t> plain = ids_of(post(running.port(), kChat, body).json().at("choices")[0]);
  body["logit_bias"] = {{std::to_string(plain[0]), -100}};
  const std::vector<int64_t> biased = ids_of(post(running.port(), kChat, body).json().at("choices")[0]);
  EXPECT_EQ(std::ranges::count(biased, plain[0]), 0);
  body.erase("logit_bias");
  body.update({{"frequency_penalty", 2}, {"presence_penalty", 2}});
  session::SamplingPolicy policy{.frequency_penalty = 2, .presence_penalty = 2};
  const session::Answer expected = alone(one, {.max_new_tokens = 12, .ignore_eos = true, .sampling = policy});
  EXPECT_EQ(ids_of(post(running.port(), kChat, body).json().at("choices")[0]), expected.tokens);
}

TEST(Formats, MakeAnswersThatAreJsonOfTheSchema) {
  const Shipped one = shipped_questions(1).front();
  const Running running;
  Json body = chat_body(one);
  body.update({{"max_tokens", 600}, {"temperature", 5}, {"n", 3}, {"seed", 1}});
  body["response_format"] =
      parse_json(R"({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema":
      {"type": "object", "properties": {"color": {"enum": ["red", "blue"]}, "sure": {"type": "boolean"}},
       "required": ["color", "sure"], "additionalProperties": false}}})",
                 "the format");
  const Json reply = post(running.port(), kChat, body).json();
  ASSERT_EQ(reply.at("choices").size(), 3U) << reply.dump();
  for (const Json& choice : reply.at("choices")) {
    const std::string text = choice.at("message").at("content");
    ASSERT_EQ(choice.at("finish_reason"), "stop") << text;
    const Json answer = parse_json(text, "the answer");
    EXPECT_TRUE(answer.at("color") == "red" || answer.at("color") == "blue") << text;
    EXPECT_TRUE(answer.at("sure").is_boolean()) << text;
    EXPECT_EQ(answer.size(), 2U);
  }
  body["stream"] = true;
  const Streamed all = streamed(stream_of(post(running.port(), kChat, body).body));
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(all.texts.at(static_cast<int64_t>(i)), reply.at("choices")[i].at("message").at("content"));
}

TEST(Formats, OfAnyObjectBeginWithABrace) {
  const Running running;
  Json body = chat_body("tell me everything");
  body.update({{"max_tokens", 40}, {"response_format", {{"type", "json_object"}}}});
  const Json choice = post(running.port(), kChat, body).json().at("choices")[0];
  EXPECT_TRUE(choice.at("message").at("content").get<std::string>().starts_with("{")) << choice.dump();
  if (choice.at("finish_reason") == "stop") {
    EXPECT_TRUE(parse_json(choice.at("message").at("content").get<std::string>(), "the answer").is_object());
  }
}

TEST(Formats, ThatCantBeUsedAreRefused) {
  const Running running;
  const auto refused = [&](const Json& format, const char* param, const char* words) {
    Json body = chat_body("hi");
    body["response_format"] = format;
    const Reply reply = post(running.port(), kChat, body);
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_EQ(reply.json().at("error").at("param"), param) << reply.body;
    EXPECT_NE(reply.message().find(words), std::string::npos) << reply.message();
  };
  const auto schema = [](const Json& value) {
    return Json{{"type", "json_schema"}, {"json_schema", {{"name", "a"}, {"schema", value}}}};
  };
  refused("json", "response_format", "not a JSON object");
  refused({{"type", "xml"}}, "response_format.type", "json_schema");
  refused({{"type", "json_schema"}}, "response_format.json_schema", "missing");
  refused({{"type", "json_schema"}, {"json_schema", {{"name", "a"}}}}, "response_format.json_schema.schema", "missing");
  refused(schema("object"), "response_format.json_schema.schema", "not a JSON object");
  refused(schema({{"type", "no-such-type"}}), "response_format", "schema");
  refused(schema({{"const", std::string(70'000, 'x')}}), "response_format", "at most");
}

}  // namespace
}  // namespace lithe::serve
