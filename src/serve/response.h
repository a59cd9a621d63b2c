#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "serve/refusal.h"

namespace lithe::serve {

/// What an HTTP request is answered with, if it is not a stream.
struct Response {
  int status = 200;
  std::string type = "application/json";
  std::string body;
  std::string more;  ///< Further header lines, each with its line end.
};

Response json_response(const Json& json, int status = 200);
Response error_response(const Refusal& refusal);

/// How one reply is framed.
struct Framing {
  std::string id;           ///< Of the request, for the header x-request-id.
  bool keep_alive = false;  ///< The connection takes another request after it.
  bool chunked = true;      ///< Of a stream: False for HTTP/1.0, where the end of the connection is the end.
  bool head_only = false;   ///< The request was HEAD: the reply has no body, and the header of one with it.
};

/// Status line, header and, if there is one, body.
std::string whole_reply(const Response& response, const Framing& framing);

/// Status line and header of a stream of server-sent events.
std::string stream_head(const Framing& framing);
/// One event: "data: .." and an empty line.
std::string event_of(std::string_view data);
/// Bytes of a stream as they go over the connection.
std::string framed(std::string_view bytes, const Framing& framing);
/// What ends a stream.
std::string stream_tail(const Framing& framing);

}  // namespace lithe::serve
