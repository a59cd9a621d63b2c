#include "serve/host_names.h"

#include "base/error.h"
#include "serve/support.h"

namespace lithe::serve {
namespace {

HostNames names(const std::string& place, std::vector<std::string> allowed = {}) {
  ServerOptions options;
  options.host = place;
  options.allowed_hosts = std::move(allowed);
  return HostNames(options);
}

TEST(HostNames, OfALoopbackAddressAreItsOwn) {
  for (const char* place : {"127.0.0.1", "127.1.2.3", "localhost", "::1"}) {
    const HostNames own = names(place);
    for (const char* host : {"localhost", "localhost:8080", "LocalHost", "localhost.", "a.localhost:1", "127.0.0.1",
                             "127.0.0.1:80", "[::1]", "[::1]:8080", "192.168.0.7:8080"})
      EXPECT_TRUE(own.hold(host)) << host;
    for (const char* host : {"evil.org", "evil.org:8080", "localhost.evil.org", "127.0.0.1.evil.org", "notlocalhost",
                             "", ":80", "[", "[evil.org]", "evil.org:localhost", "1270.0.0.1"})
      EXPECT_FALSE(own.hold(host)) << host;
  }
}

TEST(HostNames, CanBeAllowed) {
  for (const char* place : {"127.0.0.1", "0.0.0.0"}) {
    const HostNames own = names(place, {"chat.Example.org", "box"});
    for (const char* host : {"chat.example.org", "CHAT.example.org:443", "chat.example.org.", "box:8080", "localhost"})
      EXPECT_TRUE(own.hold(host)) << host;
    for (const char* host : {"example.org", "x.chat.example.org", "boxer"}) EXPECT_FALSE(own.hold(host)) << host;
  }
  for (const char* bad : {"", "a b", "http://a", "a:80", "a/b", ".org", "*"})
    EXPECT_THROW(names("127.0.0.1", {bad}), Error) << bad;
}

TEST(HostNames, OfOtherAddressesAreAny) {
  for (const char* place : {"0.0.0.0", "::", "192.168.0.7"}) EXPECT_TRUE(names(place).hold("anything.org")) << place;
}

TEST(Hosts, OfOtherSitesAreRefused) {
  const auto asked = [](const Running& running, const std::string& host, const std::string& path = "/v1/models") {
    Client client(running.port());
    client.send(concat("GET ", path, " HTTP/1.1\r\nHost: ", host, "\r\n\r\n"));
    return client.receive();
  };
  ServerOptions options;
  {
    const Running running(options);
    EXPECT_EQ(asked(running, concat("127.0.0.1:", running.port())).status, 200);
    EXPECT_EQ(asked(running, concat("localhost:", running.port())).status, 200);
    for (const char* path : {"/v1/models", "/", "/health", "/metrics", "/nowhere"}) {
      const Reply reply = asked(running, "evil.org:8080", path);
      EXPECT_EQ(reply.status, 403) << path;
      EXPECT_EQ(reply.code(), "host_not_allowed");
      EXPECT_NE(reply.message().find("--allowed-host"), std::string::npos);
    }
  }
  options.allowed_hosts = {"chat.org"};
  {
    const Running running(options);
    EXPECT_EQ(asked(running, "chat.org").status, 200);
    EXPECT_EQ(asked(running, "evil.org").status, 403);
  }
  EXPECT_THROW(check_place({.port = 0, .allowed_hosts = {"http://chat.org"}}), Error);
  options = {};
  options.host = "0.0.0.0";
  const Running running(options);
  EXPECT_EQ(asked(running, "chat.org").status, 200);
}

// RFC 9112, 3.2.2: a proxy asks so, and the target's server counts, not the header's.
TEST(Targets, MayBeUrls) {
  const Running running;
  const auto asked = [&](const std::string& target, const std::string& header = "Host: localhost\r\n") {
    Client client(running.port());
    client.send(concat("GET ", target, " HTTP/1.1\r\n", header, "\r\n"));
    return client.receive();
  };
  for (const char* target : {"http://localhost/health", "HTTP://LocalHost:8080/health?x=http://evil.org/",
                             "https://127.0.0.1/health", "http://[::1]:80/health"}) {
    const Reply reply = asked(target);
    EXPECT_EQ(reply.status, 200) << target;
    EXPECT_EQ(reply.json().at("status"), "ok") << target;
  }
  for (const char* target : {"http://localhost", "http://localhost/", "http://localhost?x"})
    EXPECT_NE(asked(target).body.find("<html"), std::string::npos) << target;
  EXPECT_EQ(asked("http://localhost/v1/models/demo").json().at("id"), "demo");
  EXPECT_EQ(asked("http://localhost/nowhere").status, 404);
  EXPECT_EQ(asked("http://localhost/health", "Host: evil.org\r\n").status, 200);
  for (const char* target : {"http://evil.org/health", "http://evil.org:8080", "http://localhost.evil.org/health"})
    EXPECT_EQ(asked(target).code(), "host_not_allowed") << target;
  for (const char* target : {"http:///health", "http://", "http://:80/health", "http://me@localhost/health",
                             "http://local,host/health", "http://localhost\\/health"})
    EXPECT_EQ(asked(target).code(), "bad_http") << target;
  for (const char* header : {"", "Host: localhost\r\nHost: localhost\r\n", "Host: local host\r\n"})
    EXPECT_EQ(asked("http://localhost/health", header).status, 400) << header;
  EXPECT_EQ(asked("ftp://localhost/health").status, 404);
  Client old(running.port());
  old.send("GET http://evil.org/health HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.receive().status, 403);
  Client chat(running.port());
  chat.send(request_text("POST", concat("http://localhost", kChat), chat_body("is there a circle?").dump()));
  EXPECT_EQ(chat.receive().status, 200);
}

}  // namespace
}  // namespace lithe::serve
