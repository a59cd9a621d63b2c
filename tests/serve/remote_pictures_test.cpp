// Pictures that requests name by http: URLs. The server that has them is on this machine, so the fetcher of these tests
// may reach this machine.
#include <chrono>
#include <future>
#include <thread>

#include "canned_server.h"
#include "serve/picture_fetcher.h"
#include "serve/support.h"

namespace lithe::serve {
namespace {

using test::CannedServer;
using test::http_reply;

ServerOptions fetching(FetchLimits limits = {}) {
  ServerOptions options;
  options.fetcher = std::make_shared<PictureFetcher>([](const sockaddr&) { return true; }, limits);
  return options;
}

/// Gives the shipped pictures by their names.
std::string shipped_file(const std::string& request) {
  const std::string path = request.substr(4, request.find(' ', 4) - 4);
  if (path == "/away.png") return http_reply("", "302 Found", "Location: /images/901.png\r\n");
  if (path == "/text") return http_reply("this is not a picture");
  const std::string bytes = contents(kModels / path.substr(1));
  return bytes.empty() ? http_reply("no", "404 Not Found") : http_reply(bytes);
}

TEST(RemotePictures, AnswerAsThoseInTheRequest) {
  CannedServer files(shipped_file);
  const Running running(fetching());
  const std::vector<Shipped> shipped = shipped_questions(3);
  const auto local = [&](std::size_t i) { return data_url(kModels / shipped[i].image); };
  const auto remote = [&](std::size_t i) { return files.url("/" + shipped[i].image); };
  const auto choices = [&](const std::vector<std::string>& urls) {
    const Reply reply = post(running.port(), kChat, chat_body("which?", urls));
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.json().at("choices");
  };
  const Json expected = choices({local(0), local(1), local(2)});
  EXPECT_EQ(choices({remote(0), remote(1), remote(2)}), expected);
  EXPECT_EQ(choices({remote(0), local(1), remote(2)}), expected);
  EXPECT_EQ(choices({local(0), remote(1), local(2)}), expected);
  EXPECT_EQ(choices({files.url("/away.png")}), choices({data_url(kModels / "images/901.png")}));
}

TEST(RemotePictures, ThatCannotBeFetchedAreRefused) {
  CannedServer files(shipped_file);
  const Running running(fetching({.bytes = 2000}));
  const auto refused = [&](const std::string& url, const char* words) {
    const Reply reply = post(running.port(), kChat, chat_body("what?", {url}));
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_EQ(reply.json().at("error").at("param"), "messages[0].content[0].image_url");
    EXPECT_NE(reply.message().find(words), std::string::npos) << reply.body;
  };
  refused(files.url("/images/none.png"), "status 404");
  refused(files.url("/text"), "messages[0].content[0].image_url");
  refused("http://127.0.0.1:1/x.png", "Nobody answers");
  refused("http://", "not one of http");
  refused("http://me:secret@127.0.0.1/x.png", "user name");
}

TEST(RemotePictures, ArePublicOnes) {
  CannedServer files(shipped_file);
  ServerOptions options;
  options.fetcher = std::make_shared<PictureFetcher>();
  const Running running(options);
  const Reply reply = post(running.port(), kChat, chat_body("what?", {files.url("/images/901.png")}));
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.message().find("not in the public internet"), std::string::npos) << reply.body;
  EXPECT_TRUE(files.requests().empty());
}

TEST(RemotePictures, TakeSoManyBytesTogether) {
  CannedServer files(shipped_file);
  const std::size_t one = contents(kModels / "images/901.png").size();
  const Running running(fetching({.bytes = 2 * one + one / 2}));
  const std::vector<std::string> urls(3, files.url("/images/901.png"));
  EXPECT_EQ(post(running.port(), kChat, chat_body("what?", {urls[0], urls[1]})).status, 200);
  const Reply reply = post(running.port(), kChat, chat_body("what?", urls));
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.message().find("more than"), std::string::npos) << reply.body;
}

TEST(RemotePictures, AreGivenUpWhenTheServerEnds) {
  CannedServer files(shipped_file);
  ServerOptions options = fetching();
  options.fetcher->stop();
  const Running running(options);
  const Reply reply = post(running.port(), kChat, chat_body("what?", {files.url("/images/901.png")}));
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.message().find("given up"), std::string::npos) << reply.body;
}

TEST(RemotePictures, AreGivenUpWhenTheClientLeaves) {
  std::promise<void> release;
  CannedServer silent([released = release.get_future().share()](const std::string&) {
    released.wait();
    return http_reply("late");
  });
  std::promise<Json> logged;
  ServerOptions options = fetching();
  options.log = [&logged](const std::string& line) { logged.set_value(parse_json(line, "a line")); };
  const Running running(options);
  Client client(running.port());
  client.send(request_text("POST", kChat, chat_body("what?", {silent.url("/a.png")}).dump()));
  while (silent.requests().empty()) std::this_thread::yield();
  client.close();
  auto line = logged.get_future();
  const bool ended = line.wait_for(std::chrono::seconds(10)) == std::future_status::ready;  // the fetch may take 20
  EXPECT_TRUE(ended);
  if (ended) {
    EXPECT_EQ(line.get().at("client_left"), true);
  }
  release.set_value();
}

TEST(RemotePictures, TakeTheRoomThatTheyFill) {
  CannedServer files(shipped_file);
  const Json body = chat_body("what?", {files.url("/images/901.png")});
  const std::size_t needed = body.dump().size() + contents(kModels / "images/901.png").size();
  for (const auto& [room, status] : {std::pair(needed, 200), std::pair(needed - 1, 503)}) {
    ServerOptions options = fetching();
    options.body_bytes = room;
    const Running running(options);
    const Reply reply = post(running.port(), kChat, body);
    EXPECT_EQ(reply.status, status) << reply.body;
    if (status == 503) {
      EXPECT_EQ(reply.code(), "queue_full");
    }
  }
}

TEST(RemotePictures, HaveSchemesInAnyCase) {
  CannedServer files(shipped_file);
  const Running running(fetching());
  const std::string url = "HTTP" + files.url("/images/901.png").substr(4);
  const Reply reply = post(running.port(), kChat, chat_body("what?", {url}));
  EXPECT_EQ(reply.status, 200) << reply.body;
}

TEST(RemotePictures, ShowTheirPatchesToo) {
  CannedServer files(shipped_file);
  const Running running(fetching());
  Json body = chat_body("what?", {files.url("/images/901.png")});
  body["show"] = {"kept_patches"};
  const Json shown = post(running.port(), kChat, body).json().at("lithe").at("kept_patches");
  EXPECT_EQ(shown.at("pictures").at(0).at("width"), 64);
}

}  // namespace
}  // namespace lithe::serve
