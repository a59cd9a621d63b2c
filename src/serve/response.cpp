#include "serve/response.h"

#include <fmt/format.h>
#include <utility>

#include "base/error.h"
#include "serve/answer_json.h"

namespace lithe::serve {
namespace {

constexpr std::pair<int, const char*> kReasons[] = {
    {200, "OK"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {503, "Service Unavailable"},
};

const char* reason_of(int status) {
  for (const auto& [known, reason] : kReasons) {
    if (known == status) return reason;
  }
  return "Unknown";
}

std::string head_of(int status, const std::string& type, const Framing& framing) {
  return concat(
      "HTTP/1.1 ", status, ' ', reason_of(status), "\r\nContent-Type: ", type, "\r\nX-Request-Id: ", framing.id,
      "\r\nX-Content-Type-Options: nosniff\r\nConnection: ", framing.keep_alive ? "keep-alive" : "close", "\r\n");
}

}  // namespace

Response json_response(const Json& json, int status) {
  return {.status = status, .body = json_text(json) + "\n"};
}

Response error_response(const Refusal& refusal) {
  Response response = json_response(refusal.json(), refusal.status());
  response.more = refusal.header();
  if (refusal.status() == 503) response.more += "Retry-After: 1\r\n";
  return response;
}

std::string whole_reply(const Response& response, const Framing& framing) {
  const std::string head = concat(head_of(response.status, response.type, framing), response.more);
  if (response.status == 304) return head + "\r\n";  // has no body, so no length either
  const std::string_view body = framing.head_only ? std::string_view() : response.body;
  return concat(head, "Content-Length: ", response.body.size(), "\r\n\r\n", body);
}

std::string stream_head(const Framing& framing) {
  return concat(head_of(200, "text/event-stream; charset=utf-8", framing),
                "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n",
                framing.chunked ? "Transfer-Encoding: chunked\r\n" : "", "\r\n");
}

std::string event_of(std::string_view data) {
  return concat("data: ", data, "\n\n");
}

std::string framed(std::string_view bytes, const Framing& framing) {
  return framing.chunked ? fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes) : std::string(bytes);
}

std::string stream_tail(const Framing& framing) {
  return framing.chunked ? "0\r\n\r\n" : "";
}

}  // namespace lithe::serve
