// Whose request is next, and how long a request may take.
#include <algorithm>
#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "serve/support.h"

namespace lithe::serve {
namespace {

using std::chrono::milliseconds;

/// Asks for answers that take turns after a stream. Each has a number of tokens of its own, by which the log tells in
/// which order they were given.
class Line {
 public:
  explicit Line(ServerOptions options = {})
      : running_(std::in_place, one_at_a_time(std::move(options))), first_(running_->port()) {
    first_.send(request_text("POST", kChat, long_body().dump(), header("first")));
    first_.read_until("\"delta\":{\"content\"");
  }

  /// With an API key and from an address.
  void ask(const std::string& name, const std::string& key, const char* from, int64_t priority = 0) {
    names_.push_back(name);
    Json body = chat_body("is there a circle?");
    body.update({{"max_tokens", names_.size()}, {"ignore_eos", true}, {"priority", priority}});
    clients_.push_back(std::make_unique<Client>(running_->port(), 0, from));
    clients_.back()->send(request_text("POST", kChat, body.dump(), header(key)));
    ASSERT_TRUE(running_->reaches("vllm:num_requests_waiting", static_cast<double>(names_.size())));
  }

  std::string order() {
    first_.close();
    for (const auto& client : clients_) EXPECT_EQ(client->receive().status, 200);
    running_.reset();  // the last line of the log is there
    return order_;
  }

 private:
  static std::string header(const std::string& key) {
    return concat("Content-Type: application/json\r\nAuthorization: Bearer ", key, "\r\n");
  }

  ServerOptions one_at_a_time(ServerOptions options) {
    options.limits.sequences = 1;
    options.log = [this](const std::string& line) {
      const Json json = parse_json(line, "the log");
      if (!json.contains("completion_tokens")) return;
      order_ += (order_.empty() ? "" : " ") + names_.at(json.at("completion_tokens").get<std::size_t>() - 1);
    };
    return options;
  }

  std::vector<std::string> names_;
  std::string order_;  // of the thread that logs, while the server runs
  std::optional<Running> running_;
  Client first_;
  std::vector<std::unique_ptr<Client>> clients_;
};

TEST(Turns, FollowPrioritiesAndThenAddresses) {
  Line line;
  line.ask("later", "", nullptr, 1);
  for (const char* name : {"a1", "a2", "a3"}) line.ask(name, "", "127.0.0.2");
  line.ask("b1", "", "127.0.0.3");
  line.ask("urgent", "", "127.0.0.2", -5);
  EXPECT_EQ(line.order(), "urgent a1 b1 a2 a3 later");
}

// Behind a proxy all requests come from one address.
TEST(Turns, FollowTheKeysIfThereAreSeveral) {
  Line line({.api_keys = {"first", "second"}});
  for (const char* name : {"a1", "a2", "a3"}) line.ask(name, "first", nullptr);
  line.ask("b1", "second", nullptr);
  EXPECT_EQ(line.order(), "a1 b1 a2 a3");
}

// Of nine places, one is for a client that has none yet.
TEST(Queue, CantBeFilledByOneClient) {
  for (const bool keys : {false, true}) {
    ServerOptions options;
    options.limits.sequences = 1;
    options.max_queue = 8;
    if (keys) options.api_keys = {"a", "b", "c"};
    const Running running(options);
    std::vector<std::unique_ptr<Client>> clients;
    const auto ask = [&](const std::string& key, const char* from, const Json& body) -> Client& {
      clients.push_back(std::make_unique<Client>(running.port(), 0, keys ? nullptr : from));
      const std::string header = concat("Content-Type: application/json\r\n", "Authorization: Bearer ", key, "\r\n");
      clients.back()->send(request_text("POST", kChat, body.dump(), header));
      return *clients.back();
    };
    Json body = chat_body("is there a circle?");
    body["max_tokens"] = 2;
    ask("a", "127.0.0.2", long_body()).read_until("\"delta\":{\"content\"");
    for (int i = 0; i < 7; ++i) ask("a", "127.0.0.2", body);
    ASSERT_TRUE(running.reaches("vllm:num_requests_waiting", 7));
    EXPECT_EQ(ask("a", "127.0.0.2", body).receive().code(), "queue_full");
    Client& other = ask("b", "127.0.0.3", body);
    ASSERT_TRUE(running.reaches("vllm:num_requests_waiting", 8));
    EXPECT_EQ(ask("b", "127.0.0.3", body).receive().code(), "queue_full");
    EXPECT_EQ(ask("c", "127.0.0.4", body).receive().code(), "queue_full");  // there is no place at all
    clients.front()->close();
    EXPECT_EQ(other.receive().status, 200);
    for (std::size_t i = 1; i <= 7; ++i) EXPECT_EQ(clients[i]->receive().status, 200);
    EXPECT_EQ(ask("a", "127.0.0.2", body).receive().status, 200);
  }
}

TEST(TimeOut, CutsWhatRunsAndWhatWaits) {
  ServerOptions options;
  options.limits.sequences = 1;
  options.request = milliseconds(800);
  const Running running(options);
  Client stream(running.port()), whole(running.port());
  stream.send(request_text("POST", kChat, long_body().dump()));
  ASSERT_TRUE(running.reaches("vllm:num_requests_running", 1));
  whole.send(request_text("POST", kChat, long_body(false).dump()));
  const Reply late = whole.receive();
  EXPECT_EQ(late.status, 503);
  EXPECT_EQ(late.code(), "request_timeout");
  EXPECT_NE(late.message().find("0.8 seconds"), std::string::npos) << late.message();
  const std::string text = stream.receive().body;
  EXPECT_NE(text.find("\"code\":\"request_timeout\""), std::string::npos);
  EXPECT_EQ(running.metric("lithe_requests_timed_out_total"), 2);
  EXPECT_EQ(running.metric("lithe_requests_abandoned_total"), 0);
  Json shorter = chat_body("is there a circle?");
  shorter["max_tokens"] = 2;
  EXPECT_EQ(post(running.port(), kChat, shorter).status, 200);
}

/// The least memory under which the server answers a request, as its refusals say.
int64_t needed_bytes(const Json& body) {
  const std::string words = "the request needs ";
  ServerOptions options;
  options.prefix_cache_bytes = options.picture_cache_bytes = 0;
  for (int64_t bytes = 1000;;) {
    options.limits.bytes = bytes;
    const Running running(options);
    const Reply reply = post(running.port(), kChat, body);
    if (reply.status == 200) return bytes;
    EXPECT_EQ(reply.status, 503) << reply.body;
    EXPECT_EQ(reply.code(), "no_memory");
    bytes =
        std::max<int64_t>(bytes + 1, std::stoll(reply.message().substr(reply.message().find(words) + words.size())));
  }
}

TEST(Memory, AtItsLimitRequestsWaitAndOnlyThoseThatNeverFitAreRefused) {
  Json body = chat_body(shipped_questions(1).front());
  body["max_tokens"] = 8;
  Json larger = long_body(false);
  ServerOptions options;
  options.limits.bytes = needed_bytes(body);
  options.prefix_cache_bytes = options.picture_cache_bytes = 0;
  const Running running(options);
  const Json expected = post(running.port(), kChat, body).json().at("choices");
  std::vector<std::future<Reply>> replies;
  for (int i = 0; i < 8; ++i) {
    replies.push_back(std::async(std::launch::async, [&] { return post(running.port(), kChat, body); }));
    replies.push_back(std::async(std::launch::async, [&] { return post(running.port(), kChat, larger); }));
  }
  for (std::size_t i = 0; i < replies.size(); i += 2) {
    const Reply good = replies[i].get(), bad = replies[i + 1].get();
    ASSERT_EQ(good.status, 200) << good.body;
    EXPECT_EQ(good.json().at("choices"), expected);
    ASSERT_EQ(bad.status, 503) << bad.body;
    EXPECT_EQ(bad.code(), "no_memory");
  }
  EXPECT_EQ(running.metric("lithe_requests_failed_total"), 8);
  EXPECT_EQ(running.metric("vllm:num_requests_running"), 0);
}

}  // namespace
}  // namespace lithe::serve
