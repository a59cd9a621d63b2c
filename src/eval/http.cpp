#include "eval/http.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "base/lower_case.h"
#include "base/printable.h"
#include "base/trim.h"

namespace lithe::eval {
namespace {

constexpr std::size_t kMostReplyBytes = std::size_t{16} << 20;
constexpr time_t kPatience_s = 60;

class Connection {
 public:
  explicit Connection(const HttpPlace& place) : name_(in_quotes(place.host + ":" + place.port)) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int code = ::getaddrinfo(place.host.c_str(), place.port.c_str(), &hints, &found);
    require(code == 0, Fault::bad_request, "The machine ", name_, " is not known (", ::gai_strerror(code),
            "); correct the address.");
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> guard(found, ::freeaddrinfo);
    for (const addrinfo* one = found; one != nullptr && socket_ < 0; one = one->ai_next) try_address(*one);
    require(socket_ >= 0, Fault::bad_request, "Nobody answers at ", name_, " (", std::strerror(error_),
            "); start the server there, or correct the address.");
  }
  ~Connection() {
    if (socket_ >= 0) ::close(socket_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void send(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      require(sent > 0 || errno == EINTR, Fault::bad_request, "The connection to ", name_,
              " broke: ", std::strerror(errno), ".");
      text.remove_prefix(sent > 0 ? static_cast<std::size_t>(sent) : 0);
    }
  }

  /// Until the other side closes: the request asks for that.
  std::string receive() const {
    std::string all;
    std::array<char, 16384> piece{};
    while (true) {
      const ssize_t got = ::recv(socket_, piece.data(), piece.size(), 0);
      if (got == 0) return all;
      if (got < 0 && errno == EINTR) continue;
      require(got > 0, Fault::bad_request, "There is no reply from ", name_, ": ", std::strerror(errno), ".");
      all.append(piece.data(), static_cast<std::size_t>(got));
      require(all.size() <= kMostReplyBytes, Fault::bad_request, "The reply from ", name_, " is longer than ",
              kMostReplyBytes, " bytes; correct the address.");
    }
  }

  const std::string& name() const { return name_; }

 private:
  void try_address(const addrinfo& address) {
    const int made = ::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC, address.ai_protocol);
    if (made < 0) {
      error_ = errno;
      return;
    }
    const timeval patience{kPatience_s, 0};
    ::setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (::connect(made, address.ai_addr, address.ai_addrlen) == 0) {
      socket_ = made;
      return;
    }
    error_ = errno;
    ::close(made);
  }

  std::string name_;
  int socket_ = -1, error_ = 0;
};

/// The body of "chunked" pieces: a size in hexadecimal digits on a line, and so many bytes, again and again.
std::string joined_chunks(std::string_view body, const std::string& name) {
  std::string whole;
  while (true) {
    const std::size_t end = body.find("\r\n");
    std::size_t size = 0;
    const bool is_size =
        end != body.npos && std::from_chars(body.data(), body.data() + end, size, 16).ec == std::errc();
    require(is_size && size <= body.size() - end - 2, Fault::bad_request, "The reply from ", name, " is cut off.");
    if (size == 0) return whole;
    whole += body.substr(end + 2, size);
    body.remove_prefix(std::min(body.size(), end + 2 + size + 2));
  }
}

/// The value of a header, in lower case; empty: it is not there.
std::string header(std::string_view head, std::string_view name) {
  for (std::size_t at = 0; at < head.size();) {
    const std::size_t end = std::min(head.find("\r\n", at), head.size());
    const std::string_view line = head.substr(at, end - at);
    const std::size_t colon = line.find(':');
    if (colon != line.npos && in_lower_case(std::string(line.substr(0, colon))) == name)
      return in_lower_case(std::string(trimmed(line.substr(colon + 1))));
    at = end + 2;
  }
  return {};
}

HttpReply parsed(const std::string& text, const std::string& name) {
  const std::size_t end = text.find("\r\n\r\n");
  HttpReply reply;
  const bool is_http = text.starts_with("HTTP/1.") && text.size() > 12 && end != text.npos &&
                       std::from_chars(text.data() + 9, text.data() + 12, reply.status).ec == std::errc();
  require(is_http, Fault::bad_request, "The reply from ", name, " is not one of HTTP; correct the address.");
  const std::string_view head = std::string_view(text).substr(0, end);
  const std::string_view body = std::string_view(text).substr(end + 4);
  if (header(head, "transfer-encoding") == "chunked") {
    reply.body = joined_chunks(body, name);
    return reply;
  }
  std::size_t length = 0;
  const std::string given = header(head, "content-length");
  const bool has_length = std::from_chars(given.data(), given.data() + given.size(), length).ec == std::errc();
  require(!has_length || length <= body.size(), Fault::bad_request, "The reply from ", name, " is cut off.");
  reply.body = body.substr(0, has_length ? length : body.size());
  return reply;
}

}  // namespace

HttpPlace parse_http(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  require(url.starts_with(kScheme) && url.find_first_of(" \r\n\t") == url.npos, Fault::bad_request, "The address ",
          in_quotes(url), " does not begin with http://; give that of a server on this machine or network.");
  const std::string rest = url.substr(kScheme.size());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  HttpPlace place{.host = rest.substr(0, slash)};
  if (slash < rest.size()) place.path = rest.substr(slash);
  const std::size_t colon = place.host.rfind(':');
  if (colon != place.host.npos && place.host.find(']', colon) == place.host.npos) {
    place.port = place.host.substr(colon + 1);
    place.host.resize(colon);
  }
  if (place.host.starts_with('[') && place.host.ends_with(']'))
    place.host = place.host.substr(1, place.host.size() - 2);
  require(!place.host.empty() && !place.port.empty(), Fault::bad_request, "The address ", in_quotes(url),
          " names no machine; give http://HOST:PORT/v1.");
  return place;
}

HttpReply post_json(const HttpPlace& place, const std::string& json, const std::string& key) {
  const Connection connection(place);
  connection.send(concat("POST ", place.path, " HTTP/1.1\r\nHost: ", place.host, ":", place.port,
                         "\r\nContent-Type: application/json\r\nConnection: close\r\n",
                         key.empty() ? "" : "Authorization: Bearer " + key + "\r\n", "Content-Length: ", json.size(),
                         "\r\n\r\n", json));
  return parsed(connection.receive(), connection.name());
}

}  // namespace lithe::eval
