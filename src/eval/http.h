#pragma once

#include <cstdint>
#include <string>

namespace lithe::eval {

/// A place in the web without encryption: http://HOST[:PORT][/PATH].
struct HttpPlace {
  std::string host, port = "80", path = "/";
};

/// Throws Error{bad_request} for anything else.
HttpPlace parse_http(const std::string& url);

struct HttpReply {
  int64_t status = 0;
  std::string body;
};

/// Sends a JSON text and waits for the reply, a minute at most for each piece of it. `key`: of the Authorization
/// header; empty: none. Throws Error{bad_request} if nobody answers, or not in HTTP.
HttpReply post_json(const HttpPlace& place, const std::string& json, const std::string& key);

}  // namespace lithe::eval
