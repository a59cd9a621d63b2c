#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>

#include "base/clock.h"
#include "base/error.h"
#include "serve/support.h"

namespace lithe::serve {
namespace {

ServerOptions one_at_a_time() {
  ServerOptions options;
  options.limits.sequences = 1;
  return options;
}

/// A client whose stream has begun.
std::unique_ptr<Client> streaming(const Running& running) {
  auto client = std::make_unique<Client>(running.port());
  client->send(request_text("POST", kChat, long_body().dump()));
  client->read_until("\"delta\":{\"content\"");
  return client;
}

TEST(Clients, ThatVanishFreeTheirPlace) {
  const Running running(one_at_a_time());
  for (int i = 1; i <= 3; ++i) {
    streaming(running)->close();
    EXPECT_EQ(post(running.port(), kChat, chat_body("is there a circle?")).status, 200);
    EXPECT_EQ(running.metric("lithe_requests_abandoned_total"), i);
  }
  EXPECT_TRUE(running.reaches("vllm:num_requests_running", 0));
}

TEST(Clients, ThatVanishBeforeAnAnswerFreeTheirPlaceToo) {
  const Running running(one_at_a_time());
  Client unstreamed(running.port());
  unstreamed.send(request_text("POST", kChat, long_body(false).dump()));
  ASSERT_TRUE(running.reaches("vllm:num_requests_running", 1));
  unstreamed.close();
  EXPECT_TRUE(running.reaches("lithe_requests_abandoned_total", 1));
  const auto first = streaming(running);
  Client waiting(running.port());
  waiting.send(request_text("POST", kChat, chat_body(shipped_questions(1).front()).dump()));
  ASSERT_TRUE(running.reaches("vllm:num_requests_waiting", 1));
  waiting.close();
  EXPECT_TRUE(running.reaches("lithe_requests_abandoned_total", 2));
  EXPECT_EQ(running.metric("vllm:num_requests_running"), 1);
  first->close();
  EXPECT_TRUE(running.reaches("lithe_requests_abandoned_total", 3));
  EXPECT_EQ(running.metric("vllm:generation_tokens_total"), 0);
}

TEST(Clients, ThatSendMoreWhileTheyWaitAreNotTakenForGone) {
  const Running running;
  Client client(running.port());
  client.send(request_text("POST", kChat, chat_body("is there a circle?").dump()));
  client.send("GET /health HTTP/1.1\r\nHost: localhost\r\n");
  EXPECT_EQ(client.receive().status, 200);
  client.send("\r\n");
  EXPECT_EQ(client.receive().status, 200);
}

TEST(Queue, RefusesWhatIsTooMuch) {
  ServerOptions options = one_at_a_time();
  options.max_queue = 1;
  const Running running(options);
  const auto first = streaming(running);
  Client second(running.port());
  second.send(request_text("POST", kChat, chat_body("is there a circle?").dump()));
  ASSERT_TRUE(running.reaches("vllm:num_requests_waiting", 1));
  const Reply third = post(running.port(), kChat, chat_body("is there a circle?"));
  EXPECT_EQ(third.status, 503);
  EXPECT_EQ(third.code(), "queue_full");
  EXPECT_TRUE(third.header.contains("retry-after"));
  EXPECT_EQ(get(running.port(), "/ready").status, 200);
  first->close();
  EXPECT_EQ(second.receive().status, 200);
}

TEST(Stop, LetsWhatRunsFinish) {
  Running running;
  const auto client = streaming(running);
  running.server().stop();
  EXPECT_EQ(get(running.port(), "/ready").status, 503);
  EXPECT_EQ(get(running.port(), "/health").status, 200);
  EXPECT_EQ(post(running.port(), kChat, chat_body("hi")).code(), "shutting_down");
  const std::string all = client->read_all();
  EXPECT_NE(all.find("\"finish_reason\":\"length\""), std::string::npos);
  EXPECT_NE(all.find("data: [DONE]\n\n"), std::string::npos);
  running.join();
}

TEST(Stop, CutsWhatRunsTooLong) {
  ServerOptions options;
  options.shutdown = std::chrono::milliseconds(1);
  Running running(options);
  const auto stream = streaming(running);
  Client whole(running.port());
  whole.send(request_text("POST", kChat, long_body(false).dump()));
  ASSERT_TRUE(running.reaches("vllm:num_requests_running", 2));
  running.server().stop();
  const Reply cut = whole.receive();
  EXPECT_EQ(cut.status, 503);
  EXPECT_EQ(cut.code(), "shutting_down");
  EXPECT_NE(stream->read_all().find("\"code\":\"shutting_down\""), std::string::npos);
  running.join();
}

TEST(Stop, EndsIdleConnectionsAtOnce) {
  Running running;
  Client idle(running.port()), half(running.port());
  half.send("GET /health HT");
  EXPECT_EQ(get(running.port(), "/health").status, 200);
  running.server().stop();
  running.join();
  EXPECT_EQ(idle.read_all(), "");
}

TEST(Server, RefusesPlacesWhereItCannotListen) {
  const Running running;
  EXPECT_THROW(Server(demo(), {.host = "127.0.0.1", .port = running.port()}), Error);
  EXPECT_THROW(Server(demo(), {.host = "no address", .port = 0}), Error);
  EXPECT_THROW(Server(demo(), {.port = 0, .image_root = "/no/such/folder"}), Error);
  EXPECT_THROW(check_place({.port = 0, .image_root = "/no/such/folder"}), Error);
}

/// The program, with its stdout.
struct Program {
  pid_t id = 0;
  FILE* out = nullptr;

  explicit Program(const std::vector<std::string>& arguments) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("no pipe");
    std::vector<char*> words{const_cast<char*>("lithe")};
    for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    id = ::fork();
    if (id == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
      ::execv(LITHE_BINARY, words.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    out = ::fdopen(ends[0], "r");
  }
  ~Program() {
    if (out) ::fclose(out);
  }
  std::string line() {
    char text[400] = {};
    return ::fgets(text, sizeof text, out) ? text : "";
  }
  int end(int signal) {
    ::kill(id, signal);
    int status = 0;
    ::waitpid(id, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
};

TEST(TheProgram, ServesUntilASignal) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Program program({"serve", "demo", "--port", "0"});
    const std::string line = program.line();
    ASSERT_TRUE(line.starts_with("Serving demo at http://127.0.0.1:")) << line;
    const auto port = static_cast<uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
    EXPECT_EQ(get(port, "/ready").status, 200);
    const Json reply = post(port, kChat, chat_body(shipped_questions(1).front())).json();
    EXPECT_EQ(reply.at("model"), "demo");
    EXPECT_EQ(program.end(signal), 0);
  }
}

TEST(TheProgram, EndsUnderLoadInTime) {
  Program program({"serve", "demo", "--port", "0", "--batch-size", "4", "--shutdown-timeout", "0.3"});
  const std::string line = program.line();
  ASSERT_TRUE(line.starts_with("Serving demo at http://127.0.0.1:")) << line;
  const auto port = static_cast<uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
  // The first stream runs before any other asks: else it may wait until some of them have ended.
  std::vector<std::unique_ptr<Client>> streams, others;
  streams.push_back(std::make_unique<Client>(port));
  streams.back()->send(request_text("POST", kChat, long_body().dump()));
  streams.back()->read_until("\"delta\":{\"content\"");
  for (int i = 0; i < 11; ++i) {
    auto& clients = i % 2 == 0 ? streams : others;
    clients.push_back(std::make_unique<Client>(port));
    clients.back()->send(request_text("POST", kChat, long_body(i % 2 == 0).dump()));
  }
  Client half(port);
  half.send("POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n");
  EXPECT_TRUE(reaches(port, "vllm:num_requests_running", 4));
  ::kill(program.id, SIGTERM);
  while (get(port, "/ready").status == 200) std::this_thread::yield();
  EXPECT_EQ(get(port, "/health").status, 200);
  EXPECT_EQ(post(port, kChat, chat_body("hi")).code(), "shutting_down");
  const Stopwatch clock;
  EXPECT_EQ(program.end(0), 0);
  EXPECT_LT(clock.elapsed_ms(), 10'000);
  for (const auto& client : others) EXPECT_EQ(client->receive().code(), "shutting_down");
  for (const auto& client : streams)
    EXPECT_NE(client->read_all().find("\"code\":\"shutting_down\""), std::string::npos);
}

}  // namespace
}  // namespace lithe::serve
