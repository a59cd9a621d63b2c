#include <cstdio>
#include <ios>
#include <memory>
#include <mutex>
#include <random>

#include "base/error.h"
#include "serve/support.h"

namespace lithe::serve {
namespace {

using std::chrono::milliseconds;

TEST(Http, PagesNeedNoEngine) {
  const Running running;
  EXPECT_EQ(get(running.port(), "/health").json().at("status"), "ok");
  EXPECT_EQ(get(running.port(), "/ready").json().at("status"), "ready");
  const Json models = get(running.port(), "/v1/models").json();
  EXPECT_EQ(models.at("data").at(0).at("id"), "demo");
  EXPECT_EQ(models.at("data").at(0).at("max_model_len"), 2048);
  EXPECT_EQ(get(running.port(), "/health").header.at("x-request-id").size(), 16U);
}

TEST(Http, HeadIsGetWithoutABody) {
  const Running running;
  Client client(running.port());
  for (const char* path : {"/health", "/v1/models", "/", "/nowhere", kChat}) {
    ASSERT_TRUE(client.send(request_text("HEAD", path, {}, {}) + request_text("GET", path, {}, {})));
    const Reply head = client.receive(true), whole = client.receive();
    EXPECT_EQ(head.status, whole.status) << path;
    EXPECT_EQ(head.header.at("content-type"), whole.header.at("content-type")) << path;
    if (whole.status == 200) {
      EXPECT_EQ(head.header.at("content-length"), whole.header.at("content-length")) << path;
    }
    EXPECT_EQ(whole.header.at("content-length"), std::to_string(whole.body.size())) << path;
  }
  EXPECT_EQ(post(running.port(), "/health", Json::object()).header.at("allow"), "GET, HEAD");
}

TEST(Http, OneModelIsShownByItsName) {
  ServerOptions options;
  options.model_names = {"org/demo", "demo"};
  const Running running(options);
  for (const char* path : {"/v1/models/org/demo", "/v1/models/org%2Fdemo", "/v1/models/org%2fdemo?x=1"}) {
    const Reply reply = get(running.port(), path);
    EXPECT_EQ(reply.status, 200) << path;
    EXPECT_EQ(reply.json().at("id"), "org/demo") << path;
    EXPECT_EQ(reply.json().at("object"), "model") << path;
  }
  EXPECT_EQ(get(running.port(), "/v1/models/demo").json(), get(running.port(), "/v1/models").json().at("data").at(1));
  for (const char* path : {"/v1/models/", "/v1/models/dem", "/v1/models/demo/", "/v1/models/%00"}) {
    const Reply reply = get(running.port(), path);
    EXPECT_EQ(reply.status, 404) << path;
    EXPECT_EQ(reply.code(), "model_not_found") << path;
  }
}

TEST(Http, MetricsCountWhatWasAnswered) {
  const Running running;
  const Json one = post(running.port(), kChat, chat_body(shipped_questions(1).front())).json();
  const Json& usage = one.at("usage");
  const Json& details = usage.at("prompt_tokens_details");
  EXPECT_EQ(running.metric("vllm:prompt_tokens_total"), usage.at("prompt_tokens").get<double>());
  EXPECT_EQ(running.metric("vllm:generation_tokens_total"), usage.at("completion_tokens").get<double>());
  EXPECT_EQ(running.metric("lithe_vision_tokens_total"), details.at("image_tokens").get<double>());
  EXPECT_EQ(running.metric("lithe_kept_vision_tokens_total"), details.at("kept_tokens").get<double>());
  EXPECT_EQ(running.metric("vllm:time_to_first_token_seconds_count"), 1);
  EXPECT_EQ(running.metric("vllm:e2e_request_latency_seconds_count"), 1);
  for (const char* gone :
       {"vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc", "lithe_kv_bytes"})
    EXPECT_EQ(running.metric(gone), 0) << gone;
  const std::string page = get(running.port(), "/metrics").body;
  EXPECT_NE(page.find("# TYPE vllm:time_to_first_token_seconds histogram"), std::string::npos);
  EXPECT_NE(page.find("vllm:e2e_request_latency_seconds_bucket{model_name=\"demo\",le=\"+Inf\"} 1"), std::string::npos);
  EXPECT_NE(page.find("vllm:request_success_total{model_name=\"demo\",finished_reason=\"stop\"} 1"), std::string::npos);
}

TEST(Http, MetricsCountTheOperationsThatAPlanSaves) {
  const Running running;
  const Json reply = post(running.port(), kChat, chat_body(shipped_questions(1).front())).json();
  const double flops = running.metric("lithe_prompt_flops_total");
  const double dense = running.metric("lithe_dense_prompt_flops_total");
  EXPECT_GT(flops, 1e6);
  EXPECT_NEAR(flops / dense, reply.at("lithe").at("counted_share").get<double>(), 1e-6);
  EXPECT_LT(flops, dense);
  Json body = chat_body(shipped_questions(1).front());
  body["plan"] = "dense";
  post(running.port(), kChat, body);
  EXPECT_DOUBLE_EQ(running.metric("lithe_prompt_flops_total"), flops + dense);
  EXPECT_DOUBLE_EQ(running.metric("lithe_dense_prompt_flops_total"), 2 * dense);
}

TEST(Http, MetricsHaveTheNamesThatRoutersAndDashboardsRead) {
  const Running running;
  Json body = chat_body(shipped_questions(1).front());
  body.update({{"max_tokens", 6}, {"ignore_eos", true}});
  const Json usage = post(running.port(), kChat, body).json().at("usage");
  const auto sum = [&](const std::string& name) { return running.metric(name + "_sum"); };
  const auto count = [&](const std::string& name) { return running.metric(name + "_count"); };
  EXPECT_EQ(sum("vllm:request_prompt_tokens"), usage.at("prompt_tokens").get<double>());
  EXPECT_EQ(sum("vllm:request_generation_tokens"), 6);
  EXPECT_EQ(count("vllm:inter_token_latency_seconds"), 5);
  EXPECT_EQ(sum("vllm:time_per_output_token_seconds"), sum("vllm:inter_token_latency_seconds"));
  EXPECT_EQ(count("vllm:request_time_per_output_token_seconds"), 1);
  EXPECT_NEAR(5 * sum("vllm:request_time_per_output_token_seconds"), sum("vllm:request_decode_time_seconds"), 1e-9);
  const double parts = sum("vllm:request_queue_time_seconds") + sum("vllm:request_prefill_time_seconds");
  EXPECT_NEAR(parts, sum("vllm:time_to_first_token_seconds"), 1e-9);
  EXPECT_LE(parts + sum("vllm:request_decode_time_seconds"), sum("vllm:e2e_request_latency_seconds") + 1e-3);
  for (const char* kind : {"queries", "hits"})
    EXPECT_EQ(running.metric(concat("vllm:gpu_prefix_cache_", kind, "_total")),
              running.metric(concat("vllm:prefix_cache_", kind, "_total")));
  // 1 GiB, of which a block of the demo model takes 64 tokens, 12 layers, 2 x 64 numbers of 4 bytes.
  EXPECT_NE(get(running.port(), "/metrics")
                .body.find("vllm:cache_config_info{model_name=\"demo\",block_size=\"64\",num_gpu_blocks=\"1092\"}"),
            std::string::npos);
  EXPECT_EQ(running.metric("vllm:cache_config_info"), 1);
}

/// A dense prompt of more than 1,500 tokens, whose pass takes long.
Json long_prompt(int64_t seed) {
  std::mt19937_64 draw(static_cast<uint64_t>(seed));
  const std::vector<std::string> words{"circle", "color", "red", "blue", "shape", "square", "what", "image"};
  std::string text;
  for (int i = 0; i < 1400; ++i) text += words[draw() % words.size()] + " ";
  Json body = chat_body(text);
  body.update({{"max_tokens", 1}, {"plan", "dense"}});
  return body;
}

// Neither the load nor a refusal waits until a pass is over.
TEST(Http, APassThatTakesLongHidesNothing) {
  ServerOptions options;
  options.limits.sequences = 1;
  const Running running(options);
  std::vector<std::unique_ptr<Client>> clients;
  const auto send = [&](const Json& body) {
    clients.push_back(std::make_unique<Client>(running.port()));
    clients.back()->send(request_text("POST", kChat, body.dump()));
  };
  const auto answered = [&] { return running.metric("vllm:time_to_first_token_seconds_count"); };
  send(long_prompt(1));
  ASSERT_TRUE(running.reaches("vllm:num_requests_running", 1));
  EXPECT_GT(running.metric("vllm:kv_cache_usage_perc"), 0);
  send(long_prompt(2));
  send(long_prompt(3));
  ASSERT_TRUE(running.reaches("vllm:num_requests_waiting", 2));
  EXPECT_EQ(post(running.port(), kChat, chat_body("<image> what is it?")).status, 400);
  EXPECT_EQ(answered(), 0);  // still in the first pass
  for (const auto& client : clients) EXPECT_EQ(client->receive().status, 200);
  EXPECT_EQ(answered(), 3);
  EXPECT_EQ(running.metric("vllm:num_requests_waiting"), 0);
}

TEST(Http, AConnectionTakesSeveralRequests) {
  const Running running;
  Client client(running.port());
  const std::string chat = request_text("POST", kChat, chat_body("is there a circle?").dump());
  client.send(request_text("GET", "/health", {}, {}) + chat + chat + request_text("GET", "/nowhere", {}, {}) +
              request_text("GET", "/ready", {}, {}));
  EXPECT_EQ(client.receive().status, 200);
  const Reply first = client.receive(), second = client.receive();
  EXPECT_EQ(first.json().at("choices"), second.json().at("choices"));
  EXPECT_EQ(client.receive().status, 404);
  EXPECT_EQ(client.receive().json().at("status"), "ready");
}

TEST(Http, OldClientsGetAStreamWithoutChunks) {
  const Running running;
  Json body = chat_body("is there a circle?");
  const std::string expected = post(running.port(), kChat, body).json().at("choices").at(0).at("message").at("content");
  body["stream"] = true;
  Client client(running.port());
  client.send(concat("POST ", kChat, " HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: ",
                     body.dump().size(), "\r\n\r\n", body.dump()));
  const Reply reply = client.receive();
  EXPECT_FALSE(reply.header.contains("transfer-encoding"));
  EXPECT_EQ(reply.header.at("connection"), "close");
  EXPECT_TRUE(stream_of(reply.body).done);
  EXPECT_EQ(stream_of(reply.body).text(), expected);
}

TEST(Http, BodiesMayComeInChunksAndAfterAPromise) {
  const Running running;
  const std::string body = chat_body("hello").dump();
  Client chunks(running.port());
  const std::string head =
      request_text("POST", kChat, {}, "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n");
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", body.size());
  chunks.send(head + size + body + "\r\n0\r\n\r\n");
  EXPECT_EQ(chunks.receive().status, 200);
  Client careful(running.port());
  careful.send(request_text(
      "POST", kChat, {},
      concat("Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: ", body.size(), "\r\n")));
  EXPECT_NE(careful.read_until("\r\n\r\n").find("100 Continue"), std::string::npos);
  careful.send(body);
  EXPECT_EQ(careful.receive().status, 200);
}

TEST(Http, SilentStreamsSendPings) {
  ServerOptions options;
  options.patience.ping = milliseconds(1);
  const Running running(options);
  Json body = chat_body(shipped_questions(1).front());
  body["stream"] = true;
  const Stream stream = stream_of(post(running.port(), kChat, body).body);
  EXPECT_GE(stream.pings, 1);
  EXPECT_TRUE(stream.done);
  EXPECT_FALSE(stream.text().empty());
}

TEST(Http, APingSaysNothingOfTheAnswer) {
  ServerOptions options;
  options.patience.ping = milliseconds(1);
  const Running running(options);
  Json chat = chat_body(shipped_questions(1).front());
  chat["stream"] = true;
  Json response = {{"input", "is there a circle?"}, {"stream", true}};
  for (const auto& [path, body] : {std::pair(kChat, chat), std::pair("/v1/responses", response)}) {
    const std::string all = post(running.port(), path, body).body;
    EXPECT_TRUE(all.starts_with(": ping\n\n")) << all.substr(0, 200);  // prefill takes longer than the ping
    EXPECT_NE(all.find("data: {"), std::string::npos);
  }
}

TEST(Limits, HeadersAndBodiesThatAreTooLong) {
  const Running running;
  Client header(running.port());
  header.send(request_text("GET", "/health", {}, "X-Long: " + std::string(20'000, 'a') + "\r\n"));
  EXPECT_EQ(header.receive().code(), "header_too_large");
  Client endless(running.port());
  endless.send("GET /" + std::string(40'000, 'a'));  // a line without an end
  EXPECT_EQ(endless.receive().status, 431);
  Client body(running.port());
  body.send(request_text("POST", kChat, {}, "Content-Type: application/json\r\nContent-Length: 100000000\r\n"));
  EXPECT_EQ(body.receive().code(), "body_too_large");
  Client text(running.port());
  text.send(request_text("POST", "/tokenize", {}, "Content-Type: application/json\r\nContent-Length: 9000000\r\n"));
  EXPECT_EQ(text.receive().status, 413);
  Client chunks(running.port());
  chunks.send(
      request_text("POST", "/tokenize", {}, "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"));
  chunks.send("8ffff0\r\n" + std::string(0x8ffff0, ' ') + "\r\n0\r\n\r\n");
  EXPECT_EQ(chunks.receive().status, 413);
  Client page(running.port());
  page.send(request_text("GET", "/health", "{}"));
  EXPECT_EQ(page.receive().status, 413);
}

/// A request whose body is one chunk.
std::string chunked_text(const std::string& path, const std::string& body) {
  const std::string head =
      request_text("POST", path, {}, "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n");
  return concat(head, std::hex, body.size(), "\r\n", body, "\r\n0\r\n\r\n");
}

/// Asks again until a reply has this status; two minutes at most.
bool is_replied(const Running& running, const std::string& request, int status) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (std::chrono::steady_clock::now() < end) {
    Client client(running.port());
    client.send(request);
    if (client.receive().status == status) return true;
  }
  return false;
}

TEST(Limits, AllBodiesTogetherCountWhatHasCome) {
  ServerOptions options;
  options.body_bytes = 1000;
  const Running running(options);
  const std::string type = "Content-Type: application/json\r\n", hello = Json{{"prompt", "hello"}}.dump();
  Client first(running.port());
  first.send(request_text("POST", kChat, {}, type + "Content-Length: 1000\r\n"));
  EXPECT_EQ(post(running.port(), "/tokenize", hello).status, 200);  // a promise takes nothing
  first.send(std::string(990, ' '));
  const std::string announced = request_text("POST", "/tokenize", hello);
  EXPECT_TRUE(is_replied(running, announced, 503));
  EXPECT_TRUE(is_replied(running, chunked_text("/tokenize", hello), 503));
  first.close();
  EXPECT_TRUE(is_replied(running, announced, 200));
  EXPECT_TRUE(is_replied(running, chunked_text("/tokenize", hello), 200));
  Client second(running.port());
  second.send(request_text("POST", kChat, {}, type + "Content-Length: 1001\r\n"));
  EXPECT_EQ(second.receive().code(), "queue_full");
}

TEST(Limits, ManyBodiesInChunksAreReadAtOnce) {
  const Running running;
  const std::string request = chunked_text(kChat, long_body(true).dump());
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(std::make_unique<Client>(running.port()));
    clients.back()->send(request);
  }
  for (const auto& client : clients) EXPECT_TRUE(client->read_until("\r\n").starts_with("HTTP/1.1 200 "));
}

TEST(Limits, Connections) {
  ServerOptions options;
  options.connections = 2;
  const Running running(options);
  Client first(running.port()), second(running.port());
  for (Client* client : {&first, &second}) {
    client->send(request_text("POST", kChat, long_body().dump()));
    client->read_until("\"delta\":{\"content\"");
  }
  Client third(running.port());
  EXPECT_EQ(third.receive().code(), "too_many_connections");
}

TEST(Limits, AnotherClientTakesThePlaceOfTheLongestIdleOne) {
  ServerOptions options;
  options.connections = 3;
  const Running running(options);
  const std::string health = request_text("GET", "/health", {}, {});
  Client busy(running.port()), first(running.port()), second(running.port());
  busy.send(request_text("POST", kChat, long_body().dump()));
  busy.read_until("\"delta\":{\"content\"");
  for (Client* client : {&first, &second, &first}) {  // so the second is idle for longer
    client->send(health);
    EXPECT_EQ(client->receive().status, 200);
  }
  Client third(running.port());
  third.send(health);
  EXPECT_EQ(third.receive().status, 200);
  EXPECT_EQ(second.read_all(), "");  // ended
  first.send(health);
  EXPECT_EQ(first.receive().status, 200);
  EXPECT_NE(busy.read_until("[DONE]").find("[DONE]"), std::string::npos);
}

TEST(Deadlines, CutSlowSenders) {
  ServerOptions options;
  options.patience = {.idle = milliseconds(300), .header = milliseconds(100), .body = milliseconds(100)};
  const Running running(options);
  Client header(running.port());
  header.send("GET /health HTTP/1.1\r\nHos");
  const Reply late = header.receive();
  EXPECT_EQ(late.status, 408);
  EXPECT_EQ(late.code(), "timeout");
  Client body(running.port());
  body.send(request_text("POST", kChat, {}, "Content-Type: application/json\r\nContent-Length: 100\r\n") + "{\"mess");
  EXPECT_EQ(body.receive().status, 408);
  Client idle(running.port());
  EXPECT_EQ(idle.read_all(), "");  // closed without a word
}

TEST(Smuggling, AmbiguousLengthsAreRefused) {
  const Running running;
  const std::string json = "Content-Type: application/json\r\n";
  for (const std::string& lengths :
       {std::string("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
        std::string("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"),
        std::string("Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n"),
        std::string("Content-Length: 4\r\nTransfer-Encoding: \x0b"
                    "chunked\r\n"),
        std::string("Transfer-Encoding: chunked, identity\r\nContent-Length: 4\r\n"),
        std::string("Transfer-Encoding: identity\r\nContent-Length: 4\r\n"),
        std::string("Transfer-Encoding: gzip, chunked\r\n"), std::string("Transfer-Encoding: identity\r\n"),
        std::string("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n"),
        std::string("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), std::string("Transfer-Encoding:\r\n"),
        std::string("Content-Length: 4\r\nContent-Length: 4\r\n"), std::string("Content-Length: 4, 4\r\n"),
        std::string("Host: localhost\r\n"), std::string("Host: elsewhere.org\r\n"),
        std::string("Content-Length: 4\r\nContent-Length: 5\r\n"), std::string("Content-Length: -1\r\n"),
        std::string("Content-Length: 4x\r\n"), std::string("Content-Length : 4\r\n")}) {
    Client client(running.port());
    client.send(request_text("POST", kChat, {}, json + lengths) + "0\r\n\r\n" + request_text("GET", "/health", {}, {}));
    const Reply reply = client.receive();
    EXPECT_EQ(reply.status, 400) << lengths;
    EXPECT_EQ(client.receive().status, 0) << lengths;  // nothing of the rest is taken as a request
  }
}

TEST(Smuggling, RequestsNameTheServerOnce) {
  const Running running;
  const auto status = [&](const std::string& request) {
    Client client(running.port());
    client.send(request);
    return client.receive().status;
  };
  EXPECT_EQ(status("GET /health HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status("GET /health HTTP/1.1\r\nHost: local host\r\n\r\n"), 400);
  EXPECT_EQ(status("GET /health HTTP/1.1\r\nHost: localhost, localhost\r\n\r\n"), 400);
  EXPECT_EQ(status("GET /health HTTP/1.1\r\nHost: localhost/x\r\n\r\n"), 400);
  EXPECT_EQ(status("GET /health HTTP/1.0\r\n\r\n"), 200);  // had no such header
  EXPECT_EQ(status("GET /health HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
}

TEST(Log, HasALineOfJsonForEachRequest) {
  std::mutex mutex;
  std::vector<std::string> lines;
  ServerOptions options;
  options.log = [&](const std::string& line) {
    const std::lock_guard lock(mutex);
    lines.push_back(line);
  };
  Running running(options);
  post(running.port(), kChat, chat_body("is there a circle?"));
  get(running.port(), "/nowhere\x01");
  get(running.port(), "/nowhere");
  running.server().stop();
  running.join();
  ASSERT_EQ(lines.size(), 3U);
  const Json chat = parse_json(lines[0], "a line");
  EXPECT_EQ(chat.at("path"), kChat);
  EXPECT_EQ(chat.at("method"), "POST");
  EXPECT_EQ(chat.at("status"), 200);
  EXPECT_EQ(chat.at("client"), "127.0.0.1");
  EXPECT_GT(chat.at("prompt_tokens").get<int64_t>(), 0);
  EXPECT_EQ(chat.at("id").get<std::string>().size(), 16U);
  EXPECT_EQ(parse_json(lines[1], "a line").at("status"), 400);
  const Json missing = parse_json(lines[2], "a line");
  EXPECT_EQ(missing.at("status"), 404);
  EXPECT_NE(missing.at("error").get<std::string>().find("nothing at"), std::string::npos);
}

}  // namespace
}  // namespace lithe::serve
