#include "serve/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "base/error.h"
#include "base/lower_case.h"

namespace lithe::serve {
namespace {

constexpr int kMostSeconds = 120;

std::map<std::string, std::string> header_of(const std::string& lines) {
  std::map<std::string, std::string> header;
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line) && line != "\r";) {
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos)
      header[in_lower_case(line.substr(0, colon))] = line.substr(colon + 2, line.size() - colon - 3);
  }
  return header;
}

}  // namespace

std::string Reply::code() const {
  const Json code = json().at("error").at("code");
  return code.is_string() ? code.get<std::string>() : "";
}

std::string Reply::message() const {
  return json().at("error").at("message");
}

std::string Stream::text() const {
  std::string text;
  for (const Json& event : events) {
    if (!event.contains("choices") || event.at("choices").empty()) continue;
    const Json& choice = event.at("choices").at(0);
    text += choice.contains("delta") ? choice.at("delta").value("content", "") : choice.value("text", "");
  }
  return text;
}

Stream stream_of(const std::string& body) {
  Stream stream;
  std::istringstream in(body);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(":")) ++stream.pings;
    if (!line.starts_with("data: ")) continue;
    stream.done = line == "data: [DONE]";
    if (!stream.done) stream.events.push_back(parse_json(line.substr(6), "an event"));
  }
  return stream;
}

Client::Client(uint16_t port, int window, const char* from) : file_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval most{.tv_sec = kMostSeconds, .tv_usec = 0};
  ::setsockopt(file_, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
  if (window > 0) ::setsockopt(file_, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
  if (from) {
    sockaddr_in own = {};
    own.sin_family = AF_INET;
    ::inet_pton(AF_INET, from, &own.sin_addr);
    if (::bind(file_, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) throw std::runtime_error("no address");
  }
  if (::connect(file_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("no connection");
}

Client::~Client() {
  close();
}

void Client::close() {
  if (file_ >= 0) ::close(file_);
  file_ = -1;
}

bool Client::send(const std::string& bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t more = ::send(file_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (more <= 0) return false;
    sent += static_cast<std::size_t>(more);
  }
  return true;
}

void Client::end_sending() {
  ::shutdown(file_, SHUT_WR);
}

bool Client::read_more() {
  char part[65536];
  const ssize_t bytes = ::recv(file_, part, sizeof part, 0);
  if (bytes > 0) got_.append(part, static_cast<std::size_t>(bytes));
  return bytes > 0;
}

std::string Client::read_until(const std::string& words) {
  while (got_.find(words) == std::string::npos && read_more()) {
  }
  return got_;
}

std::string Client::read_all() {
  while (read_more()) {
  }
  return got_;
}

Reply Client::receive(bool head_only) {
  Reply reply;
  read_until("\r\n\r\n");
  const std::size_t end = got_.find("\r\n\r\n");
  if (end == std::string::npos) return reply;
  reply.status = std::stoi(got_.substr(9, 3));
  reply.header = header_of(got_.substr(0, end + 2));
  got_.erase(0, end + 4);
  if (reply.status == 100) return receive();
  if (head_only) return reply;
  if (reply.header.contains("content-length")) {
    const std::size_t length = std::stoul(reply.header["content-length"]);
    while (got_.size() < length && read_more()) {
    }
    reply.whole = got_.size() >= length;
    reply.body = got_.substr(0, length);
    got_.erase(0, reply.body.size());
    return reply;
  }
  if (!reply.header.contains("transfer-encoding")) {
    reply.body = read_all();
    got_.clear();
    reply.whole = true;
    return reply;
  }
  while (true) {
    std::size_t line = got_.find("\r\n");
    while (line == std::string::npos && read_more()) line = got_.find("\r\n");
    if (line == std::string::npos) return reply;
    const std::size_t length = std::stoul(got_.substr(0, line), nullptr, 16);
    while (got_.size() < line + 4 + length && read_more()) {
    }
    if (got_.size() < line + 4 + length) return reply;
    reply.body += got_.substr(line + 2, length);
    got_.erase(0, line + 4 + length);
    if (length == 0) break;
  }
  reply.whole = true;
  return reply;
}

std::string request_text(const std::string& method, const std::string& path, const std::string& body,
                         const std::string& more_header) {
  return concat(method, ' ', path, " HTTP/1.1\r\nHost: localhost\r\n", more_header,
                body.empty() ? std::string() : concat("Content-Length: ", body.size(), "\r\n"), "\r\n", body);
}

Reply get(uint16_t port, const std::string& path) {
  Client client(port);
  client.send(request_text("GET", path, {}, {}));
  return client.receive();
}

Reply post(uint16_t port, const std::string& path, const std::string& body) {
  Client client(port);
  client.send(request_text("POST", path, body));
  return client.receive();
}

Reply post(uint16_t port, const std::string& path, const Json& body) {
  return post(port, path, body.dump());
}

}  // namespace lithe::serve
