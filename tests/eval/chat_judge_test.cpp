#include "eval/chat_judge.h"

#include <gtest/gtest.h>

#include <sstream>

#include "base/error.h"
#include "base/json.h"
#include "canned_server.h"
#include "sentence_of.h"

namespace lithe::eval {
namespace {

using test::CannedServer;
using test::http_reply;
using test::sentence_of;

const std::string kAnswer = R"({"choices": [{"message": {"role": "assistant", "content": " B"}}]})";

TEST(ChatJudge, AsksAsOpenAisClientsDo) {
  CannedServer server(http_reply(kAnswer));
  const tasks::Judge judge = judge_of({.url = server.url("/v1"), .model = "m", .key = "secret"});
  EXPECT_EQ(judge("Which?"), " B");
  const std::string request = server.requests().at(0);
  EXPECT_TRUE(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:")) << request;
  EXPECT_NE(request.find("\r\nAuthorization: Bearer secret\r\n"), std::string::npos);
  const Json body = parse_json(request.substr(request.find("\r\n\r\n") + 4), "the request");
  const Json expected = {{"model", "m"},
                         {"messages", Json::array({{{"role", "user"}, {"content", "Which?"}}})},
                         {"temperature", 0},
                         {"max_tokens", 256},
                         {"n", 1}};
  EXPECT_EQ(body, expected);
}

TEST(ChatJudge, ReadsRepliesInChunks) {
  const std::string half = kAnswer.substr(0, 10), rest = kAnswer.substr(10);
  std::ostringstream chunks;
  chunks << "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
         << std::hex << half.size() << "\r\n"
         << half << "\r\n"
         << rest.size() << ";x\r\n"
         << rest << "\r\n0\r\n\r\n";
  CannedServer server(chunks.str());
  EXPECT_EQ(judge_of({.url = server.url("/v1/chat/completions/"), .model = "m"})("?"), " B");
}

TEST(ChatJudge, ABadReplyIsSaid) {
  const std::vector<std::pair<std::string, std::string>> replies{
      {http_reply("no key", "401 Unauthorized"), "status 401"},
      {http_reply("{}"), "no answer of a chat"},
      {http_reply("what?"), "no answer of a chat"},
      {"SSH-2.0\r\n\r\n", "not one of HTTP"},
      {"", "not one of HTTP"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", "cut off"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nx", "cut off"}};
  for (const auto& [reply, word] : replies) {
    CannedServer server(reply);
    const std::string sentence = sentence_of([&] { judge_of({.url = server.url("/v1"), .model = "m"})("?"); });
    EXPECT_NE(sentence.find(word), std::string::npos) << sentence;
  }
}

TEST(ChatJudge, NobodyThereIsSaid) {
  const std::string url = CannedServer("").url();
  EXPECT_NE(sentence_of([&] { judge_of({.url = url, .model = "m"})("?"); }).find("Nobody answers"), std::string::npos);
}

TEST(ChatJudge, RefusesAddressesOfOtherKindsAtOnce) {
  for (const char* url : {"ftp://host/v1", "host", "http://", "http://:80/", "http://a b/"})
    EXPECT_FALSE(sentence_of([&] { judge_of({.url = url, .model = "m"}); }).empty()) << url;
}

}  // namespace
}  // namespace lithe::eval
