#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace lithe::test {

/// A server on this machine that gives to each request the reply that `reply_to` says, whole with its header, and
/// closes the connection. It reads bodies with a Content-Length.
class CannedServer {
 public:
  using ReplyTo = std::function<std::string(const std::string& request)>;

  explicit CannedServer(ReplyTo reply_to)
      : reply_to_(std::move(reply_to)), socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof place;
    auto* const address = reinterpret_cast<sockaddr*>(&place);
    if (::bind(socket_, address, size) != 0 || ::listen(socket_, 16) != 0 ||
        ::getsockname(socket_, address, &size) != 0)
      throw std::runtime_error("no socket");
    port_ = ntohs(place.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  explicit CannedServer(std::string reply) : CannedServer([reply](const std::string&) { return reply; }) {}

  ~CannedServer() {
    ::shutdown(socket_, SHUT_RDWR);  // ends accept()
    thread_.join();
    ::close(socket_);
  }
  CannedServer(const CannedServer&) = delete;
  CannedServer& operator=(const CannedServer&) = delete;

  /// "http://127.0.0.1:1234" and the path.
  std::string url(const std::string& path = "") const { return "http://127.0.0.1:" + std::to_string(port_) + path; }

  /// What was asked so far.
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    for (int client = ::accept(socket_, nullptr, nullptr); client >= 0; client = ::accept(socket_, nullptr, nullptr)) {
      const std::string request = read(client);
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      const std::string reply = reply_to_(request);
      ::send(client, reply.data(), reply.size(), MSG_NOSIGNAL);
      ::close(client);
    }
  }

  static bool is_whole(const std::string& request) {
    const std::size_t end = request.find("\r\n\r\n"), length = request.find("Content-Length: ");
    if (end == request.npos) return false;
    return length == request.npos || request.size() >= end + 4 + std::stoul(request.substr(length + 16));
  }

  static std::string read(int client) {
    std::string request;
    std::array<char, 65536> piece{};
    while (!is_whole(request)) {
      const ssize_t got = ::recv(client, piece.data(), piece.size(), 0);
      if (got <= 0) break;
      request.append(piece.data(), static_cast<std::size_t>(got));
    }
    return request;
  }

  ReplyTo reply_to_;
  int socket_, port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

/// A whole reply.
inline std::string http_reply(const std::string& body, const std::string& status = "200 OK",
                              const std::string& more_header = "") {
  return "HTTP/1.1 " + status + "\r\n" + more_header + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

}  // namespace lithe::test
