// Many bad clients: requests that are broken anywhere, senders and readers that are slow.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>

#include "base/error.h"
#include "serve/support.h"

namespace lithe::serve {
namespace {

using std::chrono::milliseconds;

constexpr int kMany = 500;

/// Lets this process have so many clients and their server.
void allow_many_files() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, std::max<rlim_t>(files.rlim_cur, 4096));
  ::setrlimit(RLIMIT_NOFILE, &files);
}

std::vector<std::unique_ptr<Client>> many_clients(const Running& running, const std::string& bytes, int window = 0) {
  allow_many_files();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < kMany; ++i) {
    clients.push_back(std::make_unique<Client>(running.port(), window));
    clients.back()->send(bytes);
  }
  return clients;
}

void expect_answers(const Running& running) {
  EXPECT_EQ(get(running.port(), "/health").status, 200);
  EXPECT_EQ(post(running.port(), kChat, chat_body("hello")).status, 200);
}

TEST(Senders, FiveHundredSlowOnesDoNotHoldUpOthers) {
  ServerOptions options;
  options.patience = {.header = milliseconds(1000), .body = milliseconds(500)};
  options.connections = 3 * kMany;
  const Running running(options);
  const auto headers = many_clients(running, "GET /health HT");
  expect_answers(running);
  for (const auto& client : headers) EXPECT_EQ(client->receive().status, 408);
  const auto bodies = many_clients(
      running, request_text("POST", kChat, {}, "Content-Type: application/json\r\nContent-Length: 60000000\r\n") + "{");
  expect_answers(running);  // together they announce 30 GB
  for (const auto& client : bodies) EXPECT_EQ(client->receive().status, 408);
}

// Keep-alive connections without a request, as many as there are places, several times over.
TEST(Idle, FiveHundredDoNotKeepOthersOut) {
  ServerOptions options;
  options.connections = 50;
  const Running running(options);
  Client works(running.port());
  Json body = long_body();
  body["max_tokens"] = 700;
  works.send(request_text("POST", kChat, body.dump()));
  works.read_until("\"delta\":{\"content\"");
  const auto idle = many_clients(running, request_text("GET", "/health", {}, {}));
  for (const auto& client : idle) EXPECT_EQ(client->receive().status, 200);
  expect_answers(running);
  std::size_t ended = 0;
  while (ended < idle.size() && idle[ended]->read_all().empty() && ended + 60 < idle.size()) ++ended;
  EXPECT_EQ(ended + 60, idle.size());  // those that came first
  EXPECT_TRUE(stream_of(works.receive().body).done);
}

TEST(Idle, SlowSendersStillCount) {
  ServerOptions options;
  options.connections = 4;
  options.patience.header = milliseconds(1500);
  const Running running(options);
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 4; ++i) {
    slow.push_back(std::make_unique<Client>(running.port()));
    slow.back()->send("GET /health HT");
  }
  Client other(running.port());
  EXPECT_EQ(other.receive().code(), "too_many_connections");
  for (const auto& client : slow) EXPECT_EQ(client->receive().status, 408);
  slow.clear();
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (get(running.port(), "/health").status != 200 && std::chrono::steady_clock::now() < end) {
  }
  expect_answers(running);
}

/// Takes all file descriptors below a bound but one.
class FewFiles {
 public:
  FewFiles() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit few = before_;
    few.rlim_cur = 256;
    ::setrlimit(RLIMIT_NOFILE, &few);
    for (int file = ::dup(0); file >= 0; file = ::dup(0)) taken_.push_back(file);
    if (!taken_.empty()) ::close(taken_.back());
    if (!taken_.empty()) taken_.pop_back();
  }
  ~FewFiles() {
    for (const int file : taken_) ::close(file);
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  FewFiles(const FewFiles&) = delete;
  FewFiles& operator=(const FewFiles&) = delete;

 private:
  rlimit before_{};
  std::vector<int> taken_;
};

TEST(Idle, GiveTheirFilesToOthers) {
  const Running running;
  Client idle(running.port());
  idle.send(request_text("GET", "/health", {}, {}));
  EXPECT_EQ(idle.receive().status, 200);
  const FewFiles few;
  Client other(running.port());  // takes the last one here, so the server has none for it
  other.send(request_text("GET", "/health", {}, {}));
  EXPECT_EQ(other.receive().status, 200);
  EXPECT_EQ(idle.read_all(), "");
}

TEST(Readers, FiveHundredSlowOnesDoNotHoldUpOthers) {
  std::atomic<int> cut = 0, replies = 0;
  ServerOptions options;
  options.patience.write = milliseconds(500);
  options.log = [&](const std::string& line) { ++(line.find("\"client_left\"") == line.npos ? replies : cut); };
  const Running running(options);
  std::string requests;
  constexpr int kRequests = 400;
  for (int i = 0; i < kRequests; ++i) requests += request_text("GET", "/page/main.js", {}, {});
  const std::size_t expected = kRequests * get(running.port(), "/page/main.js").body.size();
  const auto clients = many_clients(running, requests, 2048);
  expect_answers(running);
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (cut < kMany && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(cut, kMany);
  EXPECT_LT(replies, kMany * kRequests / 4);  // else the system held megabytes for each reader
  EXPECT_LT(clients.front()->read_all().size(), expected);
  expect_answers(running);
}

TEST(Readers, OfAStreamEndOnlyTheirOwn) {
  ServerOptions options;
  options.patience.write = milliseconds(300);
  const Running running(options);
  Json body = long_body(true);
  body.update({{"n", 8}, {"temperature", 1}, {"logprobs", true}, {"top_logprobs", 20}});
  Client slow(running.port(), 2048);
  slow.send(request_text("POST", kChat, body.dump()));
  Json other = chat_body("hello");
  other.update({{"ignore_eos", true}, {"max_tokens", 50}});
  const Json expected = post(running.port(), kChat, other).json().at("choices");
  EXPECT_TRUE(running.reaches("lithe_requests_abandoned_total", 1));
  EXPECT_TRUE(running.reaches("vllm:num_requests_running", 0));
  EXPECT_EQ(post(running.port(), kChat, other).json().at("choices"), expected);
  EXPECT_EQ(slow.read_all().find("[DONE]\n\n\r\n0\r\n\r\n"), std::string::npos);
}

/// Breaks a good request anywhere.
std::string broken(std::string request, std::mt19937& random, uint32_t most_steps = 5) {
  for (uint32_t steps = 1 + random() % most_steps; steps > 0 && !request.empty(); --steps) {
    const std::size_t at = random() % request.size();
    switch (random() % 4) {
      case 0:
        request[at] = static_cast<char>(random());
        break;
      case 1:
        request.erase(at, 1 + random() % 20);
        break;
      case 2:
        request.insert(at, request.substr(random() % request.size(), random() % 40));
        break;
      default:
        request.resize(at + 1);
    }
  }
  return request;
}

TEST(Malformed, AThousandRequestsDoNoHarm) {
  ServerOptions options;
  options.patience = {.header = milliseconds(50), .body = milliseconds(50)};
  const Running running(options);
  Json body = chat_body("is there a circle?");
  body.update({{"max_tokens", 1}, {"temperature", 0.5}, {"stop", {"a", "b"}}, {"stream", true}});
  const std::string good = request_text("POST", kChat, body.dump());
  std::mt19937 random(7);
  for (int i = 0; i < 1000; ++i) {
    Client client(running.port());
    client.send(broken(good, random));
    if (i % 10 != 0) continue;  // most do not wait for a reply
    const Reply reply = client.receive();
    EXPECT_TRUE(reply.status == 0 || reply.status == 200 || (reply.status >= 400 && reply.status <= 503))
        << reply.status;
  }
  EXPECT_EQ(post(running.port(), kChat, chat_body("is there a circle?")).status, 200);
  EXPECT_TRUE(running.reaches("vllm:num_requests_running", 0));
}

/// Good requests of many forms. None of them runs the model.
std::vector<std::string> quick_requests() {
  const std::string json = "Content-Type: application/json\r\n", prompt = Json{{"prompt", "is there a circle?"}}.dump();
  Json refused = chat_body("is there a circle?");
  refused.update({{"max_tokens", 0}, {"stream", true}, {"stop", {"a", "b"}}});
  return {request_text("GET", "/health", {}, "Connection: keep-alive\r\nTraceparent: 00-1-2-3\r\n"),
          request_text("HEAD", "/page/main.js", {}, "If-None-Match: \"1\"\r\n"),
          "GET /v1/models/demo?a=%20 HTTP/1.0\r\n\r\n",
          request_text("POST", "/tokenize", prompt),
          concat(request_text("POST", "/tokenize", {}, json + "Transfer-Encoding: chunked\r\n"), "5\r\n",
                 prompt.substr(0, 5), "\r\n", std::hex, prompt.size() - 5, ";x=y\r\n", prompt.substr(5),
                 "\r\n0\r\nTrailer: 1\r\n\r\n"),
          request_text("POST", "/detokenize", "{\"tokens\": [1, 2, 3]}", json + "Expect: 100-continue\r\n"),
          request_text("POST", "/v1/responses", Json{{"input", "hi"}, {"store", true}}.dump()),
          request_text("POST", kChat, refused.dump())};
}

TEST(Malformed, TenThousandRequestsAreEachAnsweredOrDropped) {
  ServerOptions options;
  options.patience = {.header = milliseconds(5000), .body = milliseconds(5000)};
  const Running running(options);
  const std::vector<std::string> good = quick_requests();
  std::mt19937 random(11);
  std::size_t refused = 0, answered = 0;
  for (std::size_t i = 0; i < 10'000; ++i) {
    const std::string request = broken(good[i % good.size()], random, 2);
    Client client(running.port());
    client.send(request);
    client.end_sending();
    const Reply reply = client.receive();
    if (reply.status == 0) continue;  // it was cut short
    const bool ok = reply.status == 200 || reply.status == 304;
    ASSERT_TRUE(ok || (reply.status >= 400 && reply.status < 500)) << request << '\n' << reply.status << reply.body;
    ++(ok ? answered : refused);
    if (!ok && reply.whole && !request.starts_with("HEAD")) {
      ASSERT_FALSE(reply.message().empty()) << request;
    }
  }
  EXPECT_GT(refused, 3000U);
  EXPECT_GT(answered, 100U);
  expect_answers(running);
  EXPECT_TRUE(running.reaches("vllm:num_requests_running", 0));
}

}  // namespace
}  // namespace lithe::serve
