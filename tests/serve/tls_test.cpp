// HTTPS with a certificate that these tests trust. The key in tests/data/serve protects nothing.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>

#include <cstdlib>

#include "base/error.h"
#include "sentence_of.h"
#include "serve/support.h"
#include "web/client.h"

namespace lithe::serve {
namespace {

namespace asio = boost::asio;

const std::string kCertificate = LITHE_TEST_DATA "/serve/certificate.pem", kKey = LITHE_TEST_DATA "/serve/key.pem";

ServerOptions encrypted() {
  ServerOptions options;
  options.tls_certificate = kCertificate;
  options.tls_key = kKey;
  return options;
}

/// A client that trusts any certificate.
struct EncryptedClient {
  explicit EncryptedClient(uint16_t port) {
    stream.next_layer().connect({asio::ip::address_v4::loopback(), port});
    stream.handshake(asio::ssl::stream_base::client);
  }

  asio::io_context io;
  asio::ssl::context context{asio::ssl::context::tls_client};
  asio::ssl::stream<asio::ip::tcp::socket> stream{io, context};
};

class Tls : public testing::Test {
 protected:
  Tls() { ::setenv("SSL_CERT_FILE", kCertificate.c_str(), 1); }
  ~Tls() override { ::unsetenv("SSL_CERT_FILE"); }

  std::string url(const std::string& path) const { return concat("https://127.0.0.1:", running_.port(), path); }

  const Running running_{encrypted()};
};

TEST_F(Tls, AnswersAsWithout) {
  Json body = chat_body(shipped_questions(1).front());
  const Running plain;
  const Json expected = post(plain.port(), kChat, body).json();
  const web::Reply reply = web::ask({.url = url(kChat), .json = body.dump()});
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(parse_json(reply.body, "the reply").at("choices"), expected.at("choices"));
  body["stream"] = true;
  const Stream stream = stream_of(web::ask({.url = url(kChat), .json = body.dump()}).body);
  EXPECT_TRUE(stream.done);
  EXPECT_EQ(stream.text(), expected.at("choices").at(0).at("message").at("content").get<std::string>());
  EXPECT_EQ(web::ask({.url = url("/nowhere")}).status, 404);
}

TEST_F(Tls, TakesABodyLongerThanARecord) {
  const Json body = {{"prompt", std::string(300'000, 'a')}};
  const web::Reply reply = web::ask({.url = url("/tokenize"), .json = body.dump()});
  EXPECT_EQ(reply.status, 200) << reply.body;
}

TEST_F(Tls, RequestsOfOneRecordAreAllAnswered) {
  EncryptedClient client(running_.port());
  std::string requests, all;
  for (int i = 0; i < 40; ++i)
    requests += request_text("GET", "/health", {}, "X-Filler: " + std::string(1000, 'x') + "\r\n");
  asio::write(client.stream, asio::buffer(requests + request_text("GET", "/ready", {}, "Connection: close\r\n")));
  asio::read_until(client.stream, asio::dynamic_buffer(all), "{\"status\":\"ready\"}");
  std::size_t replies = 0;
  for (std::size_t at = 0; (at = all.find("{\"status\":\"ok\"}", at)) != all.npos; ++at) ++replies;
  EXPECT_EQ(replies, 40U);
}

TEST_F(Tls, ClientsThatVanishFreeTheirPlace) {
  {
    EncryptedClient client(running_.port());
    asio::write(client.stream, asio::buffer(request_text("POST", kChat, long_body().dump())));
    std::string all;
    asio::read_until(client.stream, asio::dynamic_buffer(all), "\"delta\":{\"content\"");
  }
  EXPECT_EQ(web::ask({.url = url(kChat), .json = chat_body("is there a circle?").dump()}).status, 200);
  const auto abandoned = [&] {
    return web::ask({.url = url("/metrics")}).body.find("lithe_requests_abandoned_total{model_name=\"demo\"} 1\n") !=
           std::string::npos;
  };
  for (int i = 0; i < 5'000 && !abandoned(); ++i) {
  }
  EXPECT_TRUE(abandoned());
}

TEST_F(Tls, OthersAreTurnedAway) {
  Client plain(running_.port());
  plain.send(request_text("GET", "/health", {}, {}));
  EXPECT_EQ(plain.read_all().find("HTTP/1.1"), std::string::npos);
  ::unsetenv("SSL_CERT_FILE");
  const std::string sentence = test::sentence_of([&] { web::ask({.url = url("/health")}); });
  EXPECT_NE(sentence.find("not trusted"), sentence.npos) << sentence;
}

TEST(TlsFiles, MustFit) {
  const auto refused = [](const std::string& certificate, const std::string& key, const char* words) {
    const std::string sentence =
        test::sentence_of([&] { check_place({.port = 0, .tls_certificate = certificate, .tls_key = key}); });
    EXPECT_NE(sentence.find(words), sentence.npos) << sentence;
  };
  refused(kCertificate, "", "belong together");
  refused("", kKey, "belong together");
  refused("/no/such/file", kKey, "--tls-cert \"/no/such/file\"");
  refused(kKey, kKey, "--tls-cert");
  refused(kCertificate, kCertificate, "--tls-key");
}

}  // namespace
}  // namespace lithe::serve
