#include <future>

#include "serve/support.h"

namespace lithe::serve {
namespace {

const Json& choice_of(const Json& reply) {
  return reply.at("choices").at(0);
}

std::vector<session::Answer> all_alone(const std::vector<Shipped>& questions) {
  std::vector<session::Answer> answers;
  for (const Shipped& one : questions) answers.push_back(alone(one, {.max_new_tokens = 8}));
  return answers;
}

void expect_same(const Json& reply, const session::Answer& expected) {
  const Json& choice = choice_of(reply);
  EXPECT_EQ(choice.at("token_ids").get<std::vector<int64_t>>(), expected.tokens);
  EXPECT_EQ(choice.at("message").at("content").get<std::string>(), expected.text);
  EXPECT_EQ(choice.at("message").at("role"), "assistant");
  EXPECT_EQ(choice.at("finish_reason"), expected.stop == session::StopReason::length ? "length" : "stop");
}

TEST(Answers, EqualThoseOfLitheRun) {
  const std::vector<Shipped> questions = shipped_questions(8);
  const std::vector<session::Answer> expected = all_alone(questions);
  const Running running;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    SCOPED_TRACE(questions[i].image);
    const Reply reply = post(running.port(), kChat, chat_body(questions[i]));
    ASSERT_EQ(reply.status, 200) << reply.body;
    const Json json = reply.json();
    expect_same(json, expected[i]);
    EXPECT_EQ(json.at("object"), "chat.completion");
    EXPECT_EQ(json.at("model"), "demo");
    EXPECT_EQ(json.at("usage").at("prompt_tokens").get<int64_t>(), expected[i].timings.prompt_rows);
    EXPECT_EQ(json.at("usage").at("completion_tokens").get<std::size_t>(), expected[i].tokens.size());
    const Json& details = json.at("usage").at("prompt_tokens_details");
    EXPECT_EQ(details.at("image_tokens").get<int64_t>(), expected[i].timings.vision_rows);
    EXPECT_LT(details.at("kept_tokens").get<int64_t>(), expected[i].timings.vision_rows);
    EXPECT_GT(details.at("kept_tokens").get<int64_t>(), 0);
    const Json& timings = json.at("timings");
    EXPECT_EQ(timings.at("prompt_n").get<int64_t>() + timings.at("cache_n").get<int64_t>(),
              expected[i].timings.prompt_rows);
    EXPECT_EQ(timings.at("cache_n"), details.at("cached_tokens"));
    EXPECT_GT(json.at("timings").at("prompt_ms").get<double>(), 0);
  }
}

TEST(Answers, OfEightClientsAtOnceEqualThoseAlone) {
  const std::vector<Shipped> questions = shipped_questions(8);
  const std::vector<session::Answer> expected = all_alone(questions);
  const Running running;
  std::vector<std::future<Reply>> replies;
  for (const Shipped& one : questions)
    replies.push_back(std::async(std::launch::async,
                                 [&running, body = chat_body(one)] { return post(running.port(), kChat, body); }));
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const Reply reply = replies[i].get();
    ASSERT_EQ(reply.status, 200) << reply.body;
    expect_same(reply.json(), expected[i]);
  }
}

TEST(Answers, StreamedEqualUnstreamed) {
  const Running running;
  for (const Shipped& one : shipped_questions(4)) {
    Json body = chat_body(one);
    const Json whole = post(running.port(), kChat, body).json();
    body["stream"] = true;
    body["stream_options"] = {{"include_usage", true}};
    const Reply reply = post(running.port(), kChat, body);
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_TRUE(reply.whole);
    EXPECT_TRUE(reply.header.at("content-type").starts_with("text/event-stream"));
    const Stream stream = stream_of(reply.body);
    EXPECT_TRUE(stream.done);
    ASSERT_GE(stream.events.size(), 3U);
    EXPECT_EQ(choice_of(stream.events.front()).at("delta").at("role"), "assistant");
    EXPECT_EQ(stream.text(), choice_of(whole).at("message").at("content").get<std::string>());
    const Json& last = stream.events[stream.events.size() - 2];
    EXPECT_EQ(choice_of(last).at("finish_reason"), choice_of(whole).at("finish_reason"));
    EXPECT_EQ(choice_of(last).at("token_ids"), choice_of(whole).at("token_ids"));
    EXPECT_EQ(without_cached(stream.events.back().at("usage")), without_cached(whole.at("usage")));
    EXPECT_TRUE(stream.events.back().at("choices").empty());
  }
}

TEST(Answers, APlanHoldsForItsRequestAlone) {
  const Shipped one = shipped_questions(1).front();
  const session::Answer dense = alone(one, {.max_new_tokens = 8}, "dense");
  const session::Answer own = alone(one, {.max_new_tokens = 8});
  const Running running;
  Json body = chat_body(one);
  body["plan"] = "dense";
  const Json reply = post(running.port(), kChat, body).json();
  expect_same(reply, dense);
  EXPECT_EQ(reply.at("usage").at("prompt_tokens_details").at("kept_tokens").get<int64_t>(), dense.timings.vision_rows);
  expect_same(post(running.port(), kChat, chat_body(one)).json(), own);
  for (const Json& plan : {Json("no-such-plan"), Json("/etc/passwd"), Json(7), Json{{"method", "no-such-method"}}}) {
    body["plan"] = plan;
    const Reply refused = post(running.port(), kChat, body);
    EXPECT_EQ(refused.status, 400) << refused.body;
    EXPECT_EQ(refused.json().at("error").at("param"), "plan");
  }
}

TEST(Answers, SamplingFollowsTheSeed) {
  const Shipped one = shipped_questions(1).front();
  const session::SamplingPolicy policy{.temperature = 50, .top_k = 40, .top_p = 0.95, .seed = 11};
  const session::Answer expected = alone(one, {.max_new_tokens = 24, .ignore_eos = true, .sampling = policy});
  const Running running;
  Json body = chat_body(one);
  body.update({{"temperature", 50}, {"top_k", 40}, {"top_p", 0.95}, {"seed", 11}, {"max_tokens", 24}});
  body["ignore_eos"] = true;
  expect_same(post(running.port(), kChat, body).json(), expected);
  expect_same(post(running.port(), kChat, body).json(), expected);
  body["seed"] = 12;
  EXPECT_NE(choice_of(post(running.port(), kChat, body).json()).at("token_ids").get<std::vector<int64_t>>(),
            expected.tokens);
}

TEST(Answers, EndAtStopsAndLimits) {
  const Shipped one = shipped_questions(1).front();
  const Running running;
  Json body = chat_body(one);
  const std::string whole = choice_of(post(running.port(), kChat, body).json()).at("message").at("content");
  ASSERT_GE(whole.size(), 2U);
  const std::string stop = whole.substr(1, 1);
  for (const Json& given : {Json(stop), Json::array({"nowhere", stop})}) {
    body["stop"] = given;
    const Json reply = post(running.port(), kChat, body).json();
    EXPECT_EQ(choice_of(reply).at("message").at("content").get<std::string>(), whole.substr(0, whole.find(stop)));
    EXPECT_EQ(choice_of(reply).at("finish_reason"), "stop");
  }
  body.erase("stop");
  body["max_tokens"] = 1;
  const Json cut = post(running.port(), kChat, body).json();
  EXPECT_EQ(choice_of(cut).at("finish_reason"), "length");
  EXPECT_EQ(cut.at("usage").at("completion_tokens"), 1);
  body["max_completion_tokens"] = 1000000;  // more than the context holds
  EXPECT_EQ(choice_of(post(running.port(), kChat, body).json()).at("finish_reason"), "stop");
}

TEST(Answers, SeveralTurnsAndPictures) {
  const std::vector<Shipped> questions = shipped_questions(2);
  const auto user = [](const Shipped& one) { return chat_body(one).at("messages").at(0); };
  session::Request request;
  request.messages = {text::text_message("system", "Be short."),
                      {"user", {{text::Part::Kind::image, ""}, {text::Part::Kind::text, questions[0].question}}},
                      text::text_message("assistant", "Yes."),
                      {"user", {{text::Part::Kind::image, ""}, {text::Part::Kind::text, questions[1].question}}}};
  for (const Shipped& one : questions)
    request.images.push_back(image::Source::of_file(kModels / one.image, demo().decode_options()));
  const session::Answer expected = demo().answer(request, {.max_new_tokens = 8});
  const Running running;
  Json body;
  body["return_token_ids"] = true;
  body["messages"] = Json::array({{{"role", "developer"}, {"content", "Be short."}},
                                  user(questions[0]),
                                  {{"role", "assistant"}, {"content", "Yes."}},
                                  user(questions[1])});
  const Reply reply = post(running.port(), kChat, body);
  ASSERT_EQ(reply.status, 200) << reply.body;
  expect_same(reply.json(), expected);
}

TEST(Answers, MarksInTheTextPlaceThePictures) {
  const Shipped one = shipped_questions(1).front();
  const Running running;
  const Json expected = post(running.port(), kChat, chat_body(one)).json();
  Json body = chat_body("<image>" + one.question, {data_url(kModels / one.image)});
  const Json marked = post(running.port(), kChat, body).json();
  EXPECT_EQ(marked.at("usage").at("prompt_tokens_details").at("image_tokens"),
            expected.at("usage").at("prompt_tokens_details").at("image_tokens"));
  body = chat_body("<image> " + one.question);
  const Reply refused = post(running.port(), kChat, body);
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.message().find("1 image mark"), std::string::npos);
}

TEST(Completions, TakeARawPrompt) {
  session::Request request;
  request.raw = true;
  request.text = "is there a circle?";
  const session::Answer expected = demo().answer(request, {.max_new_tokens = 6});
  const Running running;
  Json body = {{"prompt", request.text}, {"max_tokens", 6}, {"return_token_ids", true}};
  const Json reply = post(running.port(), "/v1/completions", body).json();
  EXPECT_EQ(reply.at("object"), "text_completion");
  EXPECT_EQ(choice_of(reply).at("text").get<std::string>(), expected.text);
  EXPECT_EQ(choice_of(reply).at("token_ids").get<std::vector<int64_t>>(), expected.tokens);
  body["stream"] = true;
  const Stream stream = stream_of(post(running.port(), "/v1/completions", body).body);
  EXPECT_TRUE(stream.done);
  EXPECT_EQ(stream.text(), expected.text);
}

TEST(Tokens, GoThereAndBack) {
  const Running running;
  const Json ids = post(running.port(), "/tokenize", Json{{"prompt", "is there a circle?"}}).json();
  EXPECT_EQ(ids.at("count").get<std::size_t>(), ids.at("tokens").size());
  EXPECT_EQ(ids.at("max_model_len"), 2048);
  EXPECT_EQ(ids.at("tokens").at(0), 1);  // BOS
  const Json without =
      post(running.port(), "/tokenize", Json{{"content", "is there a circle?"}, {"add_special_tokens", false}}).json();
  EXPECT_EQ(without.at("count").get<int64_t>() + 1, ids.at("count").get<int64_t>());
  const Json text = post(running.port(), "/detokenize", Json{{"tokens", without.at("tokens")}}).json();
  EXPECT_NE(text.at("prompt").get<std::string>().find("is there a circle?"), std::string::npos);
  EXPECT_EQ(post(running.port(), "/detokenize", Json{{"tokens", {-1}}}).status, 400);
  EXPECT_EQ(post(running.port(), "/detokenize", Json{{"tokens", "1"}}).status, 400);
}

}  // namespace
}  // namespace lithe::serve
