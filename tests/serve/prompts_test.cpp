// Text completions of several prompts, and of prompts that are tokens.
#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/mixed.h"
#include "serve/support.h"
#include "session/tokens.h"

namespace lithe::serve {
namespace {

constexpr const char* kCompletion = "/v1/completions";

const std::vector<std::string> kPrompts{"is there a circle?", "what is the color", "how many shapes are in the image"};

std::vector<int64_t> ids_of(const std::string& prompt) {
  return session::token_ids(demo(), prompt, true);
}

Json body_of(const Json& prompt) {
  return {{"prompt", prompt}, {"max_tokens", 6}, {"ignore_eos", true}, {"return_token_ids", true}};
}

session::Answer alone(const std::string& prompt, const std::optional<session::SamplingPolicy>& sampling = {}) {
  session::Request request;
  request.raw = true;
  request.text = prompt;
  return demo().answer(request, {.max_new_tokens = 6, .ignore_eos = true, .sampling = sampling});
}

std::vector<int64_t> tokens_of(const Json& choice) {
  return choice.at("token_ids").get<std::vector<int64_t>>();
}

TEST(Prompts, OfAListAreEachAnsweredAsAlone) {
  const Running running;
  std::vector<std::vector<int64_t>> ids;
  for (const std::string& prompt : kPrompts) ids.push_back(ids_of(prompt));
  for (const Json& prompts : {Json(kPrompts), Json(ids)}) {
    const Json reply = post(running.port(), kCompletion, body_of(prompts)).json();
    ASSERT_EQ(reply.at("choices").size(), kPrompts.size()) << reply;
    int64_t rows = 0, made = 0;
    for (std::size_t i = 0; i < kPrompts.size(); ++i) {
      const session::Answer expected = alone(kPrompts[i]);
      const Json& choice = reply.at("choices")[i];
      EXPECT_EQ(choice.at("index"), i);
      EXPECT_EQ(tokens_of(choice), expected.tokens);
      EXPECT_EQ(choice.at("text").get<std::string>(), expected.text);
      rows += expected.timings.prompt_rows;
      made += std::ssize(expected.tokens);
    }
    EXPECT_EQ(reply.at("usage").at("prompt_tokens"), rows);
    EXPECT_EQ(reply.at("usage").at("completion_tokens"), made);
    EXPECT_EQ(reply.at("usage").at("total_tokens"), rows + made);
  }
  EXPECT_TRUE(running.reaches("vllm:e2e_request_latency_seconds_count", 6));
}

TEST(Prompts, OfTokensEqualTheirText) {
  const Running running;
  const session::Answer expected = alone(kPrompts[0]);
  for (const Json& prompt :
       {Json(ids_of(kPrompts[0])), Json::array({ids_of(kPrompts[0])}), Json::array({kPrompts[0]})}) {
    const Json reply = post(running.port(), kCompletion, body_of(prompt)).json();
    ASSERT_EQ(reply.at("choices").size(), 1U) << reply;
    EXPECT_EQ(tokens_of(reply.at("choices")[0]), expected.tokens);
    EXPECT_EQ(reply.at("usage").at("prompt_tokens"), expected.timings.prompt_rows);
  }
  const Json without_bos =
      post(running.port(), kCompletion, body_of(session::token_ids(demo(), kPrompts[0], false))).json();
  EXPECT_EQ(without_bos.at("usage").at("prompt_tokens"), expected.timings.prompt_rows - 1);  // taken as they are
}

/// The texts and last events of the choices of a stream.
struct Streamed {
  std::map<std::size_t, std::string> texts;
  std::map<std::size_t, Json> last;
};
Streamed streamed(const Stream& stream) {
  Streamed all;
  for (const Json& event : stream.events) {
    for (const Json& choice : event.at("choices")) {
      const std::size_t index = choice.at("index");
      all.texts[index] += choice.at("text").get<std::string>();
      EXPECT_FALSE(all.last.contains(index));  // nothing comes after the end
      if (!choice.at("finish_reason").is_null()) all.last[index] = choice;
    }
  }
  return all;
}

TEST(Prompts, AreNumberedBeforeTheirAnswers) {
  const Running running;
  const session::SamplingPolicy policy{.temperature = 20, .top_k = 40, .seed = 5};
  Json body = body_of(kPrompts);
  body.update({{"temperature", 20}, {"top_k", 40}, {"seed", 5}, {"n", 2}});
  const Json whole = post(running.port(), kCompletion, body).json();
  ASSERT_EQ(whole.at("choices").size(), 6U) << whole;
  for (std::size_t i = 0; i < 6; ++i) {
    session::SamplingPolicy own = policy;
    if (i % 2 == 1) own.seed = mixed(5, 1);
    EXPECT_EQ(whole.at("choices")[i].at("index"), i);
    EXPECT_EQ(tokens_of(whole.at("choices")[i]), alone(kPrompts[i / 2], own).tokens) << i;
  }
  body.update({{"stream", true}, {"stream_options", {{"include_usage", true}}}});
  const Stream stream = stream_of(post(running.port(), kCompletion, body).body);
  EXPECT_TRUE(stream.done);
  const Streamed all = streamed(stream);
  ASSERT_EQ(all.last.size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(all.texts.at(i), whole.at("choices")[i].at("text").get<std::string>());
    EXPECT_EQ(all.last.at(i).at("token_ids"), whole.at("choices")[i].at("token_ids"));
    EXPECT_EQ(all.last.at(i).at("finish_reason"), "length");
  }
  EXPECT_EQ(without_cached(stream.events.back().at("usage")), without_cached(whole.at("usage")));
}

TEST(Prompts, ThatAreEqualAreDrawnApartUnlessASeedIsGiven) {
  const Running running;
  Json body = body_of({kPrompts[0], kPrompts[0]});
  body.update({{"temperature", 20}, {"top_k", 40}});
  const Json apart = post(running.port(), kCompletion, body).json().at("choices");
  EXPECT_NE(tokens_of(apart[0]), tokens_of(apart[1]));
  body["seed"] = 3;
  const Json seeded = post(running.port(), kCompletion, body).json().at("choices");
  EXPECT_EQ(tokens_of(seeded[0]), tokens_of(seeded[1]));
}

TEST(Prompts, EndEachWhenItsAnswerDoes) {
  ServerOptions options;
  options.limits.sequences = 1;  // one after another
  const Running running(options);
  Json body = body_of(kPrompts);
  body["stream"] = true;
  const Stream stream = stream_of(post(running.port(), kCompletion, body).body);
  std::string order;
  for (const Json& event : stream.events) {
    const Json& choice = event.at("choices")[0];
    const std::string index = std::to_string(choice.at("index").get<int64_t>());
    if (!choice.at("finish_reason").is_null())
      order += index + "!";
    else if (!choice.at("text").get<std::string>().empty() && !order.ends_with(index))
      order += index;
  }
  EXPECT_EQ(order, "00!11!22!");
}

TEST(Prompts, ThatAreWrongAreNamed) {
  ServerOptions options;
  options.limits.sequences = 2;
  options.max_queue = 80;
  const Running running(options);
  const int64_t vocabulary = session::vocabulary_size(demo());
  const auto refused = [&](const Json& prompt, const std::string& param, const std::string& words,
                           const Json& more = {}) {
    Json body = body_of(prompt);
    if (!more.is_null()) body.update(more);
    const Reply reply = post(running.port(), kCompletion, body);
    ASSERT_EQ(reply.status, 400) << reply.body;
    EXPECT_EQ(reply.json().at("error").at("param"), param) << reply.body;
    EXPECT_NE(reply.message().find(words), std::string::npos) << reply.message();
  };
  refused(Json::array(), "prompt", "empty");
  refused(7, "prompt", "neither a text nor a list");
  refused({{"text", "hi"}}, "prompt", "neither a text nor a list");
  refused({"hi", 1}, "prompt[1]", "neither a text nor a list");
  refused({1, "hi"}, "prompt", "token ids");
  refused({1, 1.5}, "prompt", "token ids");
  refused({1, -200}, "prompt", "token ids");  // the number that stands for a picture inside
  refused({1, vocabulary}, "prompt", concat("go from 0 to ", vocabulary - 1));
  refused(Json::array({Json::array({1}), Json::array({vocabulary})}), "prompt[1]", concat(vocabulary));
  refused(Json::array({Json::array({1}), Json::array()}), "prompt[1]", "empty");
  refused({"hi", "what is it? <image>"}, "prompt[1]", "1 image mark");
  refused(std::vector<std::string>(73, "hi"), "prompt", "at most 72");
  refused(std::vector<std::string>(65, "hi"), "prompt", "at most 128", {{"n", 2}});
  refused(Json::array({std::vector<int64_t>(3), std::vector<int64_t>(3000)}), "prompt[1]", "shorten");
  refused({"hi", std::string(15'000, 'a')}, "prompt[1]", "shorten");
  EXPECT_EQ(post(running.port(), kCompletion, body_of(std::vector<std::string>(72, "hi"))).json().at("choices").size(),
            72U);
}

TEST(Prompts, FindPlacesTogetherOrNone) {
  ServerOptions options;
  options.limits.sequences = 1;
  options.max_queue = 3;
  const Running running(options);
  Client stream(running.port());
  stream.send(request_text("POST", kChat, long_body().dump()));
  stream.read_until("\"delta\":{\"content\"");
  const Reply refused = post(running.port(), kCompletion, body_of(kPrompts));  // one place is for another client
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.code(), "queue_full");
  EXPECT_EQ(running.metric("vllm:num_requests_waiting"), 0);
  Client two(running.port());
  two.send(request_text("POST", kCompletion, body_of({kPrompts[0], kPrompts[1]}).dump()));
  EXPECT_TRUE(running.reaches("vllm:num_requests_waiting", 2));
  stream.close();
  EXPECT_EQ(two.receive().json().at("choices").size(), 2U);
  EXPECT_EQ(post(running.port(), kCompletion, body_of(kPrompts)).status, 200);
}

TEST(Prompts, EndTogetherWhenTheirClientLeaves) {
  ServerOptions options;
  options.limits.sequences = 2;
  const Running running(options);
  Json body = body_of(kPrompts);
  body["max_tokens"] = 1500;
  Client client(running.port());
  client.send(request_text("POST", kCompletion, body.dump()));
  ASSERT_TRUE(running.reaches("vllm:num_requests_running", 2));
  client.close();
  EXPECT_TRUE(running.reaches("lithe_requests_abandoned_total", 3));
  EXPECT_TRUE(running.reaches("vllm:num_requests_waiting", 0));
}

}  // namespace
}  // namespace lithe::serve
