#include "eval/chat_judge.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "base/json.h"
#include "eval/http.h"
#include "sentence_of.h"

namespace lithe::eval {
namespace {

using test::sentence_of;

/// A server that gives one reply, whatever it is asked, and keeps the request.
class OneReply {
 public:
  explicit OneReply(std::string reply) : reply_(std::move(reply)), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof place;
    auto* const address = reinterpret_cast<sockaddr*>(&place);
    if (::bind(socket_, address, size) != 0 || ::listen(socket_, 1) != 0 || ::getsockname(socket_, address, &size) != 0)
      throw std::runtime_error("no socket");
    port_ = ntohs(place.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~OneReply() {
    if (thread_.joinable()) thread_.join();
    ::close(socket_);
  }
  OneReply(const OneReply&) = delete;
  OneReply& operator=(const OneReply&) = delete;

  std::string url() const { return concat("http://127.0.0.1:", port_, "/v1"); }
  /// After the reply was given.
  const std::string& request() {
    thread_.join();
    return request_;
  }

 private:
  void serve() {
    const int client = ::accept(socket_, nullptr, nullptr);
    std::array<char, 65536> piece{};
    while (!is_whole()) {
      const ssize_t got = ::recv(client, piece.data(), piece.size(), 0);
      if (got <= 0) break;
      request_.append(piece.data(), static_cast<std::size_t>(got));
    }
    ::send(client, reply_.data(), reply_.size(), MSG_NOSIGNAL);
    ::close(client);
  }

  bool is_whole() const {
    const std::size_t end = request_.find("\r\n\r\n"), length = request_.find("Content-Length: ");
    return end != request_.npos && request_.size() >= end + 4 + std::stoul(request_.substr(length + 16));
  }

  std::string reply_, request_;
  int socket_, port_ = 0;
  std::thread thread_;
};

std::string http(const std::string& body, const std::string& status = "200 OK") {
  return concat("HTTP/1.1 ", status, "\r\ncontent-length: ", body.size(), "\r\n\r\n", body);
}

const std::string kAnswer = R"({"choices": [{"message": {"role": "assistant", "content": " B"}}]})";

TEST(ChatJudge, AsksAsOpenAisClientsDo) {
  OneReply server(http(kAnswer));
  const tasks::Judge judge = judge_of({.url = server.url(), .model = "m", .key = "secret"});
  EXPECT_EQ(judge("Which?"), " B");
  const std::string& request = server.request();
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
  OneReply server(chunks.str());
  EXPECT_EQ(judge_of({.url = server.url() + "/chat/completions", .model = "m"})("?"), " B");
}

TEST(ChatJudge, ABadReplyIsSaid) {
  const std::vector<std::pair<std::string, std::string>> replies{
      {http("no key", "401 Unauthorized"), "status 401"},
      {http("{}"), "no answer of a chat"},
      {http("what?"), "no answer of a chat"},
      {"SSH-2.0\r\n\r\n", "not one of HTTP"},
      {"", "not one of HTTP"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", "cut off"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nx", "cut off"}};
  for (const auto& [reply, word] : replies) {
    OneReply server(reply);
    const std::string sentence = sentence_of([&] { judge_of({.url = server.url(), .model = "m"})("?"); });
    EXPECT_NE(sentence.find(word), std::string::npos) << sentence;
  }
}

TEST(ChatJudge, NobodyThereIsSaid) {
  std::string url;
  {
    OneReply server("");
    url = server.url();
    sentence_of([&] { judge_of({.url = url, .model = "m"})("?"); });
  }
  EXPECT_NE(sentence_of([&] { judge_of({.url = url, .model = "m"})("?"); }).find("Nobody answers"), std::string::npos);
}

TEST(Http, ReadsAddresses) {
  const HttpPlace place = parse_http("http://[::1]:8080/v1/x");
  EXPECT_EQ(place.host + " " + place.port + " " + place.path, "::1 8080 /v1/x");
  EXPECT_EQ(parse_http("http://host").port, "80");
  for (const char* url : {"https://host/v1", "host", "http://", "http://:80/", "http://a b/"})
    EXPECT_FALSE(sentence_of([&] { parse_http(url); }).empty()) << url;
}

}  // namespace
}  // namespace lithe::eval
