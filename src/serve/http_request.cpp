#include "serve/http_request.h"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "base/any_case.h"
#include "base/error.h"
#include "serve/refusal.h"

namespace lithe::serve {
namespace {

namespace http = boost::beast::http;

constexpr unsigned kHttp11 = 11;

[[noreturn]] void refuse(const char* reason) {
  throw Refusal(400, concat("The request is not HTTP as this server reads it: ", reason), {}, "bad_http");
}

/// Of a host with or without a port.
bool may_be_in_host(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return letter || std::string_view("-._~%!$&'()*+;=:[]").find(c) != std::string_view::npos;
}

bool is_host(std::string_view text) {
  return std::all_of(text.begin(), text.end(), may_be_in_host);
}

/// The target without a scheme, if it has one: "http://box:80/health" -> "box:80/health"
std::optional<std::string_view> without_scheme(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (begins_in_any_case(target, scheme)) return target.substr(scheme.size());
  }
  return std::nullopt;
}

/// Of a whole URL, the host takes the place of the header Host (RFC 9112, 3.2.2).
void take_target(std::string_view target, RequestHead& head) {
  head.target = target;
  const std::optional<std::string_view> place = without_scheme(target);
  if (!place) return;
  const std::string_view host = place->substr(0, place->find_first_of("/?#")), rest = place->substr(host.size());
  if (host.empty() || host.starts_with(':') || !is_host(host))
    refuse("the target is a URL without the name of a server; correct it.");
  head.host = host;
  head.target = concat(rest.starts_with('/') ? "" : "/", rest);
}

std::string text_of(const RequestHeader& header, http::field field) {
  const auto value = header[field];
  return {value.data(), value.size()};
}

}  // namespace

void check_framing(const RequestHeader& header) {
  const auto encodings = header.count(http::field::transfer_encoding);
  if (encodings > 0) {
    const bool chunked = encodings == 1 && boost::beast::iequals(header[http::field::transfer_encoding], "chunked");
    if (!chunked) refuse("Transfer-Encoding is not chunked; send the body with a Content-Length.");
    if (header.version() < kHttp11) refuse("HTTP/1.0 has no Transfer-Encoding; send a Content-Length.");
  }
  const auto length = header[http::field::content_length];
  if (header.count(http::field::content_length) > 1 || length.find(',') != length.npos)
    refuse("there is more than one Content-Length; send one.");
  const auto hosts = header.count(http::field::host);
  if (hosts > 1) refuse("there is more than one Host; send one.");
  if (hosts == 0 && header.version() >= kHttp11) refuse("the header Host is missing; send it.");
  const auto host = header[http::field::host];
  if (!is_host(host)) refuse("Host is not the name of a server; correct it.");
}

RequestHead head_of(const RequestHeader& header) {
  RequestHead head;
  const auto method = header.method_string(), target = header.target();
  head.method.assign(method.data(), method.size());
  if (header.count(http::field::host) > 0) head.host = text_of(header, http::field::host);
  take_target({target.data(), target.size()}, head);
  head.content_type = text_of(header, http::field::content_type);
  head.content_encoding = text_of(header, http::field::content_encoding);
  head.authorization = text_of(header, http::field::authorization);
  head.known = text_of(header, http::field::if_none_match);
  return head;
}

}  // namespace lithe::serve
