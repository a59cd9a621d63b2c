#include "web/client.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstdlib>

#include "canned_server.h"
#include "sentence_of.h"

namespace lithe::web {
namespace {

using test::CannedServer;
using test::http_reply;
using test::sentence_of;

std::string redirect(const std::string& to) {
  return http_reply("", "302 Found", "Location: " + to + "\r\n");
}

TEST(Client, GetsAndPosts) {
  CannedServer server(http_reply("hello"));
  const Reply got = ask({.url = server.url("/a?b=c")});
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, "hello");
  EXPECT_TRUE(server.requests().at(0).starts_with("GET /a?b=c HTTP/1.1\r\n"));
  ask({.url = server.url(), .json = std::string(2 << 20, ' '), .key = "secret"});
  const std::string posted = server.requests().at(1);
  EXPECT_TRUE(posted.starts_with("POST / HTTP/1.1\r\n"));
  EXPECT_NE(posted.find("\r\nAuthorization: Bearer secret\r\n"), posted.npos);
  EXPECT_NE(posted.find("\r\nContent-Type: application/json\r\n"), posted.npos);
  EXPECT_EQ(posted.find("Expect"), posted.npos);
}

TEST(Client, AsksTheRuleForEachAddress) {
  CannedServer server(http_reply("hello"));
  int asked = 0;
  const auto rule = [&asked](bool allow) {
    return [&asked, allow](const sockaddr& address) {
      ++asked;
      EXPECT_EQ(ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr), INADDR_LOOPBACK);
      return allow;
    };
  };
  EXPECT_EQ(ask({.url = server.url(), .may_reach = rule(true)}).body, "hello");
  const std::string refused = sentence_of([&] { ask({.url = server.url(), .may_reach = rule(false)}); });
  EXPECT_NE(refused.find("not in the public internet"), refused.npos) << refused;
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST(Client, ThePublicInternetIsNotThisMachine) {
  CannedServer server(http_reply("hello"));
  const std::string port = server.url().substr(server.url().rfind(':'));
  for (const std::string host : {"127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "0", "[::1]",
                                 "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"}) {
    const std::string sentence = sentence_of([&] { ask({.url = "http://" + host + port, .may_reach = is_public}); });
    EXPECT_FALSE(sentence.empty()) << host;
  }
  EXPECT_TRUE(server.requests().empty());
}

TEST(Client, FollowsAsManyRedirectsAsItMay) {
  const auto count_down = [](const std::string& request) {
    const int left = std::atoi(request.c_str() + std::string("GET /").size());
    return left == 0 ? http_reply("there") : redirect("/" + std::to_string(left - 1));
  };
  CannedServer server(count_down);
  EXPECT_EQ(ask({.url = server.url("/0")}).body, "there");
  EXPECT_EQ(ask({.url = server.url("/3"), .redirects = 3}).body, "there");
  EXPECT_NE(sentence_of([&] { ask({.url = server.url("/4"), .redirects = 3}); }).find("too often"), std::string::npos);
  EXPECT_EQ(ask({.url = server.url("/1")}).status, 302);
}

TEST(Client, ARedirectIsHeldToTheSameRules) {
  CannedServer inside(http_reply("secret"));
  for (const std::string& to : {std::string("file:///etc/passwd"), std::string("ftp://127.0.0.1/x"),
                                std::string("gopher://127.0.0.1/x"), "http://me:secret@" + inside.url().substr(7)}) {
    CannedServer outside(redirect(to));
    EXPECT_FALSE(sentence_of([&] { ask({.url = outside.url(), .redirects = 3}); }).empty()) << to;
  }
  CannedServer outside(redirect(inside.url()));
  int connections = 0;  // the first machine may be asked, the second may not
  const auto first_only = [&connections](const sockaddr&) { return ++connections == 1; };
  const std::string sentence =
      sentence_of([&] { ask({.url = outside.url(), .redirects = 3, .may_reach = first_only}); });
  EXPECT_NE(sentence.find("not in the public internet"), sentence.npos) << sentence;
  EXPECT_EQ(connections, 2);
  EXPECT_TRUE(inside.requests().empty());
}

TEST(Client, TakesNoMoreBytesThanItMay) {
  CannedServer known(http_reply(std::string(1000, 'x')));
  CannedServer unknown("HTTP/1.1 200 OK\r\n\r\n" + std::string(1000, 'x'));
  for (const CannedServer* server : {&known, &unknown}) {
    EXPECT_EQ(ask({.url = server->url(), .most_bytes = 1000}).body.size(), 1000U);
    const std::string sentence = sentence_of([&] { ask({.url = server->url(), .most_bytes = 999}); });
    EXPECT_NE(sentence.find("more than 999 bytes"), sentence.npos) << sentence;
  }
}

TEST(Client, ReadsNoProxyFromTheEnvironment) {
  CannedServer proxy(http_reply("proxy")), server(http_reply("server"));
  for (const char* name : {"http_proxy", "all_proxy", "HTTP_PROXY"}) ::setenv(name, proxy.url().c_str(), 1);
  EXPECT_EQ(ask({.url = server.url()}).body, "server");
  for (const char* name : {"http_proxy", "all_proxy", "HTTP_PROXY"}) ::unsetenv(name);
}

TEST(Client, EndsWhenItIsTold) {
  CannedServer server(http_reply("hello"));
  const std::string sentence = sentence_of([&] { ask({.url = server.url(), .goes_on = [] { return false; }}); });
  EXPECT_NE(sentence.find("given up"), sentence.npos) << sentence;
}

TEST(Client, EndsWhenThereIsNoRoomForTheReply) {
  CannedServer server(http_reply(std::string(100'000, 'x')));
  std::size_t room = 100'000;
  const auto has_room = [&room](std::size_t bytes) { return bytes <= room && (room -= bytes, true); };
  EXPECT_EQ(ask({.url = server.url(), .has_room = has_room}).body.size(), 100'000U);
  EXPECT_EQ(room, 0U);
  room = 99'999;
  EXPECT_FALSE(sentence_of([&] { ask({.url = server.url(), .has_room = has_room}); }).empty());
}

TEST(Client, RefusesOtherUrls) {
  for (const char* url : {"ftp://host/x", "file:///etc/passwd", "host", "http://", "http://:80/", "http://a b/",
                          "http://a\nb/", "", "HTTP:/x"})
    EXPECT_FALSE(sentence_of([&] { check_url(url); }).empty()) << url;
  EXPECT_FALSE(sentence_of([] { check_url("http://h/" + std::string(9000, 'x')); }).empty());
  for (const char* url : {"http://[::1]:8080/v1/x", "https://host/v1", "http://host", "HTTP://host"})
    EXPECT_NO_THROW(check_url(url));
  EXPECT_FALSE(sentence_of([] { ask({.url = "http://me:secret@127.0.0.1/"}); }).empty());
}

}  // namespace
}  // namespace lithe::web
