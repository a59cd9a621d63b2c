// The files of the page over HTTP. tests/serve/browser looks at the page itself.
#include "serve/page_files.h"
#include "serve/support.h"

namespace lithe::serve {
namespace {

const std::filesystem::path kFolder = LITHE_SOURCE_DIR "/src/serve/page";

TEST(Page, IsTheFilesOfTheFolder) {
  const Running running;
  const Reply page = get(running.port(), "/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.header.at("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(page.body, contents(kFolder / "index.html"));
  std::size_t files = 1;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    const std::string name = entry.path().filename();
    if (name == "index.html") continue;
    const Reply reply = get(running.port(), "/page/" + name);
    EXPECT_EQ(reply.status, 200) << name;
    EXPECT_EQ(reply.body, contents(kFolder / name)) << name;
    ++files;
  }
  EXPECT_EQ(files, page_files().size());
}

TEST(Page, AllowsNothingFromElsewhere) {
  const Running running;
  for (const PageFile& file : page_files()) {
    const Reply reply = get(running.port(), file.path);
    const std::string& policy = reply.header.at("content-security-policy");
    EXPECT_TRUE(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';")) << policy;
    EXPECT_EQ(policy.find("unsafe"), std::string::npos);
    EXPECT_EQ(reply.header.at("x-content-type-options"), "nosniff");
    EXPECT_EQ(file.text.find("//cdn"), std::string::npos);
  }
}

TEST(Page, IsSentAgainOnlyIfItChanged) {
  const Running running;
  for (const PageFile& file : page_files()) {
    const Reply first = get(running.port(), file.path);
    EXPECT_EQ(first.header.at("cache-control"), "no-cache");
    Client client(running.port());
    const std::string known = "If-None-Match: \"old\", " + first.header.at("etag") + "\r\n";
    client.send(request_text("GET", file.path, {}, known) +
                request_text("GET", file.path, {}, "If-None-Match: \"old\"\r\n"));
    const std::string read = client.read_until("HTTP/1.1 200 OK\r\n");
    const std::string head = read.substr(0, read.find("\r\n\r\n") + 4);
    EXPECT_TRUE(head.starts_with("HTTP/1.1 304 Not Modified\r\n")) << head;
    EXPECT_EQ(head.find("Content-Length"), std::string::npos);
    EXPECT_NE(head.find("ETag: " + first.header.at("etag")), std::string::npos);
    EXPECT_EQ(read.substr(head.size(), 17), "HTTP/1.1 200 OK\r\n");
  }
}

TEST(Page, NeedsNoKeyAndCanBeTurnedOff) {
  ServerOptions options;
  options.api_keys = {"s3cret"};
  {
    const Running running(options);
    EXPECT_EQ(get(running.port(), "/").status, 200);
  }
  options.page = false;
  const Running running(options);
  for (const PageFile& file : page_files()) EXPECT_EQ(get(running.port(), file.path).status, 404) << file.path;
}

TEST(Page, TakesGetAlone) {
  const Running running;
  EXPECT_EQ(post(running.port(), "/", Json::object()).status, 405);
}

}  // namespace
}  // namespace lithe::serve
