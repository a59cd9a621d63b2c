#include <limits>

#include "serve/support.h"
#include "temporary_folder.h"

namespace lithe::serve {
namespace {

struct BadCase {
  Json change;  ///< Fields of a good body that are replaced.
  const char* param;
  const char* words;
  int status = 400;
};

Json messages_of(const Json& content, const char* role = "user") {
  Json message;
  message["role"] = role;
  message["content"] = content;
  return Json::array({message});
}

Json picture_part(const Json& url) {
  return Json::array({{{"type", "image_url"}, {"image_url", {{"url", url}}}}});
}

const std::vector<BadCase>& bad_cases() {
  static const std::vector<BadCase> cases = {
      {{{"model", "gpt-4"}}, "model", "not served", 404},
      {{{"model", 3}}, "model", "not a string"},
      {{{"messages", nullptr}}, "messages", "missing"},
      {{{"messages", "hi"}}, "messages", "not a list"},
      {{{"messages", Json::array()}}, "messages", "not a list of 1"},
      {{{"messages", Json::array({1})}}, "messages[0]", "not a JSON object"},
      {{{"messages", messages_of("hi", "tool")}}, "messages[0].role", "\"tool\""},
      {{{"messages", messages_of(nullptr)}}, "messages[0].content", "missing"},
      {{{"messages", messages_of(5)}}, "messages[0].content", "neither a string nor a list"},
      {{{"messages", messages_of(Json::array({{{"type", "input_audio"}}}))}},
       "messages[0].content[0].type",
       "input_audio"},
      {{{"messages", messages_of(Json::array({{{"type", "text"}}}))}}, "messages[0].content[0].text", "missing"},
      {{{"messages", messages_of(Json::array({{{"type", "image_url"}}}))}},
       "messages[0].content[0].image_url",
       "missing"},
      {{{"messages", messages_of(picture_part("https://example.org/a.png"))}},
       "messages[0].content[0].image_url",
       "fetches no"},
      {{{"messages", messages_of(picture_part("file:///etc/passwd"))}},
       "messages[0].content[0].image_url",
       "no local files"},
      {{{"messages", messages_of(picture_part("photo.png"))}}, "messages[0].content[0].image_url", "data: URL"},
      {{{"messages", messages_of(picture_part("data:image/png,abc"))}},
       "messages[0].content[0].image_url",
       "without base64"},
      {{{"messages", messages_of(picture_part("data:image/png;base64,ab!d"))}},
       "messages[0].content[0].image_url",
       "not base64"},
      {{{"messages", messages_of(picture_part("data:image/png;base64,aGVsbG8="))}},
       "messages[0].content[0].image_url",
       "messages[0]"},
      {{{"messages", messages_of(picture_part("data:image/png;base64,aGVsbG8="), "assistant")}},
       "messages[0].content[0].type",
       "of the user"},
      {{{"max_tokens", 0}}, "max_tokens", "at least 1"},
      {{{"max_tokens", 1.5}}, "max_tokens", "whole"},
      {{{"max_tokens", 1e300}}, "max_tokens", "whole"},
      {{{"max_completion_tokens", -3}}, "max_completion_tokens", "at least 1"},
      {{{"temperature", "hot"}}, "temperature", "not a number"},
      {{{"temperature", -1}}, "temperature", "temperature"},
      {{{"top_p", 0}}, "top_p", "top-p"},
      {{{"top_k", -7}}, "top_k", "top-k"},
      {{{"min_p", 2}}, "min_p", "min-p"},
      {{{"repetition_penalty", 0}}, "repetition_penalty", "repetition"},
      {{{"seed", "x"}}, "seed", "not a number"},
      {{{"seed", uint64_t{1} << 63}}, "seed", "whole number that fits"},
      {{{"priority", 0.5}}, "priority", "whole"},
      {{{"messages", messages_of("<image> what is it?")}}, "messages", "1 image mark"},
      {{{"plan", "no such plan"}}, "plan", "no such plan"},
      {{{"stream", "yes"}}, "stream", "neither true nor false"},
      {{{"stream_options", 1}}, "stream_options", "not a JSON object"},
      {{{"stop", 1}}, "stop", "neither a string"},
      {{{"stop", ""}}, "stop", "neither a string"},
      {{{"stop", Json::array({1})}}, "stop", "neither a string"},
      {{{"n", 99}}, "n", "from 1 to 16"},
      {{{"best_of", 2}}, "best_of", "must equal n"},
      {{{"logprobs", 3}}, "logprobs", "neither true nor false"},
      {{{"top_logprobs", 3}}, "top_logprobs", "\"logprobs\": true"},
      {{{"logprobs", true}, {"top_logprobs", 21}}, "top_logprobs", "from 0 to 20"},
      {{{"prompt_logprobs", 1}}, "prompt_logprobs", "of the prompt"},
      {{{"tools", Json::array({{{"type", "function"}}})}}, "tools", "no tools"},
      {{{"functions", Json::array({1})}}, "functions", "no tools"},
      {{{"tool_choice", "required"}}, "tool_choice", "no tools"},
      {{{"suffix", "."}}, "suffix", "before a suffix"},
      {{{"response_format", {{"type", "xml"}}}}, "response_format.type", "json_schema"},
      {{{"presence_penalty", 2.5}}, "presence_penalty", "presence penalty"},
      {{{"frequency_penalty", -3}}, "frequency_penalty", "frequency penalty"},
      {{{"logit_bias", {{"5000000", 1}}}}, "logit_bias", "ids of tokens"},
      {{{"logit_bias", {{"five", 1}}}}, "logit_bias", "ids of tokens"},
      {{{"logit_bias", {{"5", 101}}}}, "logit_bias", "-100 to 100"},
      {{{"logit_bias", {1, 2}}}, "logit_bias", "not an object"},
  };
  return cases;
}

void expect_error_shape(const Reply& reply) {
  const Json error = reply.json().at("error");
  for (const char* key : {"message", "type", "param", "code"}) EXPECT_TRUE(error.contains(key)) << key;
  EXPECT_FALSE(error.at("message").get<std::string>().empty());
  EXPECT_EQ(reply.header.at("content-type"), "application/json");
}

TEST(Errors, NameTheFieldAndWhatToDo) {
  const Running running;
  Client client(running.port());  // one connection: an error of a request is that request's alone
  for (const BadCase& bad : bad_cases()) {
    Json body = chat_body("hello");
    body.update(bad.change);
    ASSERT_TRUE(client.send(request_text("POST", kChat, body.dump())));
    const Reply reply = client.receive();
    SCOPED_TRACE(bad.change.dump() + " " + reply.body);
    ASSERT_EQ(reply.status, bad.status);
    expect_error_shape(reply);
    EXPECT_NE(reply.message().find(bad.words), std::string::npos);
    EXPECT_EQ(reply.json().at("error").at("param"), bad.param);
    EXPECT_EQ(reply.json().at("error").at("type"), "invalid_request_error");
  }
  ASSERT_TRUE(client.send(request_text("POST", kChat, chat_body("hello").dump())));
  EXPECT_EQ(client.receive().status, 200);
}

TEST(Errors, FieldsThatAskForNothingAreIgnored) {
  const Running running;
  Json body = chat_body("hello");
  body.update({{"user", "me"},
               {"n", 1},
               {"tools", Json::array()},
               {"tool_choice", "auto"},
               {"logprobs", false},
               {"presence_penalty", 0},
               {"frequency_penalty", 0.0},
               {"logit_bias", Json::object()},
               {"response_format", {{"type", "text"}}},
               {"something_new", {1, 2}},
               {"suffix", ""},
               {"echo", false},
               {"temperature", nullptr},
               {"top_k", -1},
               {"seed", std::numeric_limits<int64_t>::max()},
               {"priority", std::numeric_limits<int64_t>::min()},
               {"stop", nullptr}});
  const Reply reply = post(running.port(), kChat, body);
  EXPECT_EQ(reply.status, 200) << reply.body;
}

TEST(Errors, OfBodiesThatAreNotJson) {
  const Running running;
  for (const char* body : {"{", "nothing", "[1,2]", "\"text\"", "{\"messages\": }", "\xff\xfe", "{} {}"}) {
    const Reply reply = post(running.port(), kChat, std::string(body));
    EXPECT_EQ(reply.status, 400) << body;
    expect_error_shape(reply);
  }
  EXPECT_EQ(post(running.port(), kChat, std::string(200, '[')).status, 400);
  EXPECT_EQ(post(running.port(), kChat, std::string()).status, 400);
}

TEST(Errors, OfPathsMethodsAndTypes) {
  const Running running;
  EXPECT_EQ(get(running.port(), "/nowhere").status, 404);
  EXPECT_EQ(get(running.port(), "/v1/chat/completions/").status, 404);
  const Reply method = get(running.port(), kChat);
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.header.at("allow"), "POST");
  expect_error_shape(method);
  EXPECT_EQ(post(running.port(), "/health", Json::object()).status, 405);
  Client client(running.port());
  client.send(request_text("POST", kChat, "{}", "Content-Type: text/plain\r\n"));
  EXPECT_EQ(client.receive().status, 415);
  Client compressed(running.port());
  compressed.send(request_text("POST", kChat, "{}", "Content-Type: application/json\r\nContent-Encoding: gzip\r\n"));
  const Reply encoding = compressed.receive();
  EXPECT_EQ(encoding.status, 415);
  EXPECT_EQ(encoding.code(), "unsupported_content_encoding");
  EXPECT_EQ(encoding.header.at("accept-encoding"), "identity");
  EXPECT_EQ(get(running.port(), "/health?now=1").status, 200);
}

TEST(Errors, APromptThatIsTooLongSaysSo) {
  const Running running;
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "circle ";
  const Reply reply = post(running.port(), kChat, chat_body(text));
  EXPECT_EQ(reply.status, 400) << reply.body;
  EXPECT_EQ(reply.code(), "context_length_exceeded");
  // Found before the request waits, and when its turn comes.
  for (const std::string& one : {text, text.substr(0, 15'000)}) {
    const auto param = [&](const char* path, const Json& body) {
      const Reply refused = post(running.port(), path, body);
      EXPECT_EQ(refused.code(), "context_length_exceeded") << path;
      return refused.json().at("error").at("param");
    };
    EXPECT_EQ(param(kChat, chat_body(one)), "messages");
    EXPECT_EQ(param("/v1/completions", Json{{"prompt", one}}), "prompt");
    EXPECT_EQ(param("/v1/responses", Json{{"input", one}}), "input");
  }
  Json body = chat_body(text);
  body["stream"] = true;  // refused before the stream begins
  EXPECT_EQ(post(running.port(), kChat, body).status, 400);
  EXPECT_EQ(post(running.port(), "/v1/completions", Json{{"prompt", text}}).code(), "context_length_exceeded");
  EXPECT_EQ(post(running.port(), kChat, chat_body(text.substr(0, 15'000))).code(), "context_length_exceeded");
  const std::string url = data_url(kModels / "images/506.png");
  EXPECT_EQ(post(running.port(), kChat, chat_body("which?", std::vector<std::string>(200, url))).code(),
            "context_length_exceeded");
}

TEST(Pictures, HaveSchemesInAnyCase) {
  const Running running;
  const std::string data = base64_of(contents(kModels / "images/506.png"));
  EXPECT_EQ(post(running.port(), kChat, chat_body("what?", {"DATA:image/png;Base64," + data})).status, 200);
  EXPECT_NE(post(running.port(), kChat, chat_body("what?", {"HTTPS://example.org/a.png"})).message().find("fetches no"),
            std::string::npos);
}

TEST(Errors, ADamagedPictureFailsItsRequestAlone) {
  std::string bytes = contents(kModels / "images/506.png");
  bytes.resize(bytes.size() / 2);
  const Running running;
  const std::string good = data_url(kModels / "images/506.png"), bad = "data:image/png;base64," + base64_of(bytes);
  const Reply reply = post(running.port(), kChat, chat_body("what?", {good, bad}));
  EXPECT_EQ(reply.status, 400) << reply.body;
  EXPECT_EQ(reply.json().at("error").at("param"), "messages[0].content[1].image_url");
  EXPECT_EQ(post(running.port(), kChat, chat_body(shipped_questions(1).front())).status, 200);
}

TEST(Errors, KeysAreNeededWhereTheyProtect) {
  ServerOptions options;
  options.api_keys = {"s3cret", "another"};
  const Running running(options);
  for (const char* path : {"/health", "/ready", "/metrics"}) EXPECT_EQ(get(running.port(), path).status, 200);
  EXPECT_EQ(get(running.port(), "/v1/models").status, 401);
  EXPECT_EQ(post(running.port(), kChat, chat_body("hi")).code(), "invalid_api_key");
  for (const auto& [key, status] :
       {std::pair("Bearer s3cret", 200), std::pair("bearer s3cret", 200), std::pair("Bearer another", 200),
        std::pair("Bearer s3cretanother", 401), std::pair("Bearer s3cre", 401), std::pair("Bearer s3cret1", 401),
        std::pair("Bearer ", 401), std::pair("s3cret", 401), std::pair("Basic s3cret", 401)}) {
    Client client(running.port());
    client.send(request_text("GET", "/v1/models", {}, std::string("Authorization: ") + key + "\r\n"));
    EXPECT_EQ(client.receive().status, status) << key;
  }
}

TEST(Files, OnlyBelowTheRoot) {
  const test::TemporaryFolder folder;
  const std::filesystem::path root = folder / "root", outside = folder / "rootless.png";
  std::filesystem::create_directories(root / "deep");
  std::filesystem::copy(kModels / "images/506.png", root / "deep/a b.png");
  std::filesystem::copy(kModels / "images/506.png", outside);
  std::filesystem::create_symlink(outside, root / "link.png");
  ServerOptions options;
  options.image_root = root;
  const Running running(options);
  const auto status = [&](const std::string& url) {
    return post(running.port(), kChat, chat_body("what?", {url})).status;
  };
  EXPECT_EQ(status("file://" + (root / "deep/a%20b.png").string()), 200);
  EXPECT_EQ(status("file://" + (root / "deep/../deep/a b.png").string()), 200);
  EXPECT_EQ(status("FILE://" + (root / "deep/a%20b.png").string()), 200);
  EXPECT_EQ(status("file://" + (root / "link.png").string()), 400);
  EXPECT_EQ(status("file://" + (root / "../rootless.png").string()), 400);
  EXPECT_EQ(status("file://" + outside.string()), 400);
  EXPECT_EQ(status("file://" + (root / "%2e%2e/rootless.png").string()), 400);
  EXPECT_EQ(status("file://" + root.string()), 400);
  EXPECT_EQ(status("file://elsewhere" + outside.string()), 400);
  EXPECT_EQ(status("file:///dev/zero"), 400);
}

}  // namespace
}  // namespace lithe::serve
