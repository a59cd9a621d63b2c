#include "serve/support.h"

namespace lithe::serve {
namespace {

constexpr const char* kResponses = "/v1/responses";

/// A shipped question as /v1/responses takes it.
Json response_body(const Shipped& one) {
  Json parts = Json::array({{{"type", "input_image"}, {"image_url", data_url(kModels / one.image)}},
                            {{"type", "input_text"}, {"text", one.question}}});
  Json body;
  body["model"] = "demo";
  body["input"] = Json::array({{{"role", "user"}, {"content", std::move(parts)}}});
  return body;
}

TEST(Responses, HaveOpenAisShape) {
  const Shipped one = shipped_questions(1).front();
  const session::Answer expected = alone(one);
  const Running running;
  Json body = response_body(one);
  body.update({{"metadata", {{"a", "b"}}}, {"store", false}, {"temperature", 0}});
  const Reply reply = post(running.port(), kResponses, body);
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Json json = reply.json();
  EXPECT_EQ(json.at("object"), "response");
  EXPECT_TRUE(json.at("id").get<std::string>().starts_with("resp_"));
  EXPECT_EQ(json.at("status"), "completed");
  EXPECT_EQ(json.at("model"), "demo");
  EXPECT_EQ(json.at("metadata"), (Json{{"a", "b"}}));
  EXPECT_EQ(json.at("store"), false);
  EXPECT_TRUE(json.at("error").is_null());
  EXPECT_TRUE(json.at("incomplete_details").is_null());
  EXPECT_EQ(json.at("text").at("format").at("type"), "text");
  ASSERT_EQ(json.at("output").size(), 1U);
  const Json& message = json.at("output")[0];
  EXPECT_EQ(message.at("type"), "message");
  EXPECT_EQ(message.at("role"), "assistant");
  EXPECT_EQ(message.at("content")[0].at("type"), "output_text");
  EXPECT_EQ(message.at("content")[0].at("text").get<std::string>(), expected.text);
  EXPECT_TRUE(message.at("content")[0].at("annotations").empty());
  const Json& usage = json.at("usage");
  EXPECT_EQ(usage.at("input_tokens"), expected.timings.prompt_rows);
  EXPECT_EQ(usage.at("output_tokens"), expected.tokens.size());
  EXPECT_EQ(usage.at("total_tokens"), expected.timings.prompt_rows + std::ssize(expected.tokens));
  EXPECT_EQ(usage.at("output_tokens_details").at("reasoning_tokens"), 0);
}

TEST(Responses, ThatAreCutSaySo) {
  const Running running;
  Json body = response_body(shipped_questions(1).front());
  body["max_output_tokens"] = 1;
  const Json json = post(running.port(), kResponses, body).json();
  EXPECT_EQ(json.at("status"), "incomplete");
  EXPECT_EQ(json.at("incomplete_details").at("reason"), "max_output_tokens");
  EXPECT_EQ(json.at("output")[0].at("status"), "incomplete");
  EXPECT_EQ(json.at("max_output_tokens"), 1);
}

TEST(Responses, TakeInstructionsAndSeveralTurns) {
  const Running running;
  Json body;
  body["instructions"] = "Be short.";
  body["input"] = parse_json(R"([{"role": "user", "content": "is there a circle?"},
      {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
       "content": [{"type": "output_text", "text": "Yes.", "annotations": []}]},
      {"role": "user", "content": "which color?"}])",
                             "the input");
  const Json reply = post(running.port(), kResponses, body).json();
  Json chat;
  chat["messages"] = parse_json(R"([{"role": "system", "content": "Be short."},
      {"role": "user", "content": "is there a circle?"}, {"role": "assistant", "content": "Yes."},
      {"role": "user", "content": "which color?"}])",
                                "the messages");
  const Json same = post(running.port(), kChat, chat).json();
  EXPECT_EQ(reply.at("output")[0].at("content")[0].at("text"), same.at("choices")[0].at("message").at("content"));
  EXPECT_EQ(reply.at("usage").at("input_tokens"), same.at("usage").at("prompt_tokens"));
  EXPECT_EQ(reply.at("instructions"), "Be short.");
}

TEST(Responses, StreamOpenAisEvents) {
  const Running running;
  Json body = response_body(shipped_questions(1).front());
  body.update({{"include", {"message.output_text.logprobs"}}, {"top_logprobs", 2}});
  const Json whole = post(running.port(), kResponses, body).json();
  body["stream"] = true;
  const Reply reply = post(running.port(), kResponses, body);
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Stream stream = stream_of(reply.body);
  std::vector<std::string> types;
  std::string text;
  std::size_t rated = 0;
  for (std::size_t i = 0; i < stream.events.size(); ++i) {
    const Json& event = stream.events[i];
    EXPECT_EQ(event.at("sequence_number"), i);
    const std::string type = event.at("type");
    EXPECT_NE(reply.body.find("event: " + type + "\ndata: "), std::string::npos);
    if (type == "response.output_text.delta") {
      text += event.at("delta").get<std::string>();
      rated += event.at("logprobs").size();
      if (!types.empty() && types.back() == type) continue;
    }
    types.push_back(type);
  }
  EXPECT_EQ(types, (std::vector<std::string>{"response.created", "response.in_progress", "response.output_item.added",
                                             "response.content_part.added", "response.output_text.delta",
                                             "response.output_text.done", "response.content_part.done",
                                             "response.output_item.done", "response.completed"}));
  const Json& content = whole.at("output")[0].at("content")[0];
  EXPECT_EQ(text, content.at("text").get<std::string>());
  EXPECT_EQ(rated, content.at("logprobs").size());
  EXPECT_GT(rated, 0U);
  const Json& last = stream.events.back().at("response");
  EXPECT_EQ(last.at("output")[0].at("content")[0].at("text"), content.at("text"));
  EXPECT_EQ(without_cached(last.at("usage")), without_cached(whole.at("usage")));
  EXPECT_EQ(stream.events.front().at("response").at("status"), "in_progress");
  EXPECT_EQ(stream.events.front().at("response").at("id"), last.at("id"));
}

TEST(Responses, KeepToAFormat) {
  const Running running;
  Json body = response_body(shipped_questions(1).front());
  body["max_output_tokens"] = 600;
  body["text"] = parse_json(R"({"format": {"type": "json_schema", "name": "a", "schema":
      {"type": "object", "properties": {"color": {"enum": ["red", "blue"]}}, "required": ["color"],
       "additionalProperties": false}}})",
                            "the format");
  const Json json = post(running.port(), kResponses, body).json();
  const Json answer = parse_json(json.at("output")[0].at("content")[0].at("text").get<std::string>(), "the answer");
  EXPECT_TRUE(answer.at("color") == "red" || answer.at("color") == "blue");
  EXPECT_EQ(json.at("text").at("format").at("name"), "a");
}

TEST(Responses, RefuseWhatNeedsAMemory) {
  const Running running;
  const auto refused = [&](const Json& change, const char* param, const char* words) {
    Json body = {{"input", "hi"}};
    body.update(change);
    const Reply reply = post(running.port(), kResponses, body);
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_EQ(reply.json().at("error").at("param"), param) << reply.body;
    EXPECT_NE(reply.message().find(words), std::string::npos) << reply.message();
  };
  refused({{"previous_response_id", "resp_1"}}, "previous_response_id", "whole conversation");
  refused({{"conversation", "conv_1"}}, "conversation", "whole conversation");
  refused({{"store", true}}, "store", "set store to false");
  refused({{"background", true}}, "background", "background");
  refused({{"prompt", {{"id", "p"}}}}, "prompt", "input");
  refused({{"truncation", "auto"}}, "truncation", "disabled");
  refused({{"tools", {{{"type", "web_search"}}}}}, "tools", "no tools");
  refused({{"input", Json::array()}}, "input", "neither a string");
  refused({{"input", nullptr}}, "input", "missing");
  refused({{"input", {{{"type", "function_call_output"}, {"output", "x"}}}}}, "input[0].type", "function_call_output");
  refused({{"input", {{{"role", "user"}, {"content", {{{"type", "input_file"}}}}}}}}, "input[0].content[0].type",
          "input_file");
  refused({{"input", {{{"role", "user"}, {"content", {{{"type", "input_image"}, {"file_id", "f"}}}}}}}},
          "input[0].content[0].image_url", "missing");
  refused({{"max_output_tokens", 0}}, "max_output_tokens", "at least 1");
  refused({{"instructions", 7}}, "instructions", "not a string");
}

TEST(InputTokens, AreCountedWithThePictures) {
  const Running running;
  for (const Shipped& one : shipped_questions(3)) {
    const Json body = response_body(one);
    const Json counted = post(running.port(), "/v1/responses/input_tokens", body).json();
    EXPECT_EQ(counted.at("object"), "response.input_tokens");
    EXPECT_EQ(counted.at("input_tokens"), post(running.port(), kResponses, body).json().at("usage").at("input_tokens"));
  }
  const Json text = post(running.port(), "/v1/responses/input_tokens", Json{{"input", "is there a circle?"}}).json();
  EXPECT_GT(text.at("input_tokens").get<int64_t>(), 0);
  EXPECT_EQ(post(running.port(), "/v1/responses/input_tokens", Json::object()).status, 400);
}

}  // namespace
}  // namespace lithe::serve
