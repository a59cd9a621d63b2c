#include "serve/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <utility>

#include "base/error.h"
#include "serve/http_request.h"

namespace lithe::serve {
namespace {

namespace http = boost::beast::http;
using asio::awaitable;
using boost::system::error_code;

constexpr std::uint32_t kMostHeader = 16 << 10;
constexpr std::size_t kMostBuffer = 128 << 10;
constexpr std::size_t kMostPiece = 4096;
constexpr int kMostUnsent = 128 << 10;  // bytes that the system holds for a slow reader, in place of megabytes
constexpr std::chrono::seconds kLinger{2};
constexpr std::chrono::milliseconds kLook{20};    // between two looks at whether answers have ended
constexpr std::chrono::milliseconds kAgain{100};  // between two tries to end what is late

Refusal refusal_of_http(const error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return {431, "The header of the request is longer than 16 KiB; shorten it.", {}, "header_too_large"};
  if (error == http::error::body_limit)
    return {413, "The body of the request is too long; send smaller pictures or less text.", {}, "body_too_large"};
  if (error == http::error::need_buffer)
    return {503, "There is too little memory for the body of the request; send it again later.", {}, "no_memory"};
  const bool gone = error == http::error::end_of_stream || error == http::error::partial_message ||
                    error.category() != http::make_error_code(http::error::end_of_stream).category();
  if (gone) throw ClientLeft();
  return {400, concat("The request is not HTTP as this server reads it: ", error.message(), "."), {}, "bad_http"};
}

Refusal too_slow(const char* what) {
  return {408, concat("The ", what, " of the request took too long; send it again, without pauses."), {}, "timeout"};
}

Refusal too_many_bodies() {
  return {503, "Too many large requests are being read; send it again later.", {}, "queue_full"};
}

}  // namespace

bool Host::end_longest_idle() {
  return std::any_of(idle.begin(), idle.end(), [](Connection* one) { return one->end_if_unasked(); });
}

struct Connection::Incoming {
  RequestParser parser;
};

Connection::Connection(Host& host, tcp::socket accepted)
    : host_(host),
      patience_(host.service.options().patience),
      stream_(std::move(accepted), host.tls),
      buffer_(kMostBuffer),
      deadline_(host.io),
      wake_(std::make_shared<asio::steady_timer>(host.io)) {
  error_code ignored;
  tcp::socket& socket = stream_.socket();
  const tcp::endpoint client = socket.remote_endpoint(ignored);
  client_ = client.address().to_string();
  socket.set_option(tcp::no_delay(true), ignored);
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kMostUnsent, sizeof kMostUnsent);
  socket.non_blocking(true, ignored);
  host_.connections.insert(this);
}

Connection::~Connection() {
  host_.connections.erase(this);
  if (host_.connections.empty() && host_.on_last) host_.on_last();
}

awaitable<void> Connection::serve(std::shared_ptr<Connection> self) {
  try {
    co_await self->run();
  } catch (const std::exception&) {
    // Memory ran out, or the system refused something: this client's connection ends.
  }
  self->in_time();
}

void Connection::end_if_idle() {
  if (!busy_) cut();
}

bool Connection::end_if_unasked() {
  error_code failed;
  tcp::socket& socket = stream_.socket();
  if (!socket.is_open() || socket.available(failed) > 0) return false;
  cut();
  return true;
}

void Connection::cut() {
  error_code ignored;
  stream_.socket().close(ignored);
}

void Connection::within(std::chrono::milliseconds patience) {
  late_ = false;
  ++turn_;
  cancel_after(patience);
}

/// Again and again until the deadline ends: what has just got some bytes, and now waits for more, missed the first
/// time.
void Connection::cancel_after(std::chrono::milliseconds patience) {
  deadline_.expires_after(patience);
  deadline_.async_wait([self = shared_from_this(), turn = turn_](const error_code& error) {
    if (error || turn != self->turn_) return;
    error_code ignored;
    self->late_ = true;
    self->stream_.socket().cancel(ignored);
    self->cancel_after(kAgain);
  });
}

/// Ends the deadline. -> whether it had not passed
bool Connection::in_time() {
  ++turn_;
  deadline_.cancel();
  return !late_;
}

awaitable<void> Connection::run() {
  try {
    if (!co_await handshake()) co_return;
    while (!host_.closing && co_await one_request()) {
    }
    co_await goodbye();
    if (unread_ || buffer_.size() > 0) co_await linger();
  } catch (const ClientLeft&) {
  }
}

/// Before the first request. False: the client does not speak TLS as this server does.
awaitable<bool> Connection::handshake() {
  if (!stream_.is_encrypted()) co_return true;
  within(patience_.header);
  const auto [error] = co_await stream_.async_handshake(kAwait);
  co_return in_time() && !error;
}

/// Without it, a client of TLS can't tell the end from a connection that broke.
awaitable<void> Connection::goodbye() {
  if (!stream_.is_encrypted() || !stream_.socket().is_open()) co_return;
  within(kLinger);
  co_await stream_.async_goodbye(kAwait);
  in_time();
}

awaitable<bool> Connection::wait_for_request() {
  if (buffer_.size() > 0) co_return true;
  if (stream_.is_encrypted()) {  // may hold what was read with the request before
    error_code held;
    buffer_.commit(stream_.read_some(buffer_.prepare(kMostPiece), held));
    if (held != asio::error::would_block) co_return !held;
  }
  within(patience_.idle);
  const auto place = host_.idle.insert(host_.idle.end(), this);
  const auto [error] = co_await stream_.socket().async_wait(tcp::socket::wait_read, kAwait);
  host_.idle.erase(place);
  co_return in_time() && !error;
}

/// False: the connection ends.
awaitable<bool> Connection::one_request() {
  if (!co_await wait_for_request()) co_return false;
  Incoming incoming;
  Exchange exchange(host_.bodies);
  exchange.framing.id = host_.service.next_id();
  exchange.entry.id = exchange.framing.id;
  exchange.entry.client = client_;
  std::exception_ptr failure;
  bool left = false;
  try {
    co_await read_and_reply(incoming, exchange);
  } catch (const ClientLeft&) {
    left = true;
  } catch (...) {
    failure = std::current_exception();
  }
  unread_ = !incoming.parser.is_done();
  if (failure) left = !co_await refuse(exchange, failure);
  busy_ = false;
  exchange.entry.client_left = left;
  exchange.entry.ms = exchange.clock.elapsed_ms();
  if (host_.log && !exchange.entry.method.empty()) host_.log->write(log_line(exchange.entry));
  if (left) throw ClientLeft();
  co_return exchange.framing.keep_alive && !unread_;
}

/// Replies with what went wrong. False: nobody can be told, or a stream has begun, into which no second reply goes.
awaitable<bool> Connection::refuse(Exchange& exchange, std::exception_ptr failure) {
  if (exchange.replied) co_return false;
  const Refusal refusal = refusal_of(failure, true, exchange.prompt);
  if (exchange.entry.method.empty()) exchange.entry.method = "-";  // its header could not be read
  exchange.entry.status = refusal.status();
  exchange.entry.error = refusal.what();
  busy_ = true;
  if (unread_ || host_.closing) exchange.framing.keep_alive = false;
  try {
    co_await write(whole_reply(error_response(refusal), exchange.framing));
  } catch (const ClientLeft&) {
    co_return false;
  }
  co_return true;
}

awaitable<void> Connection::read_and_reply(Incoming& incoming, Exchange& exchange) {
  const Route& route = *co_await read_header(incoming, exchange);
  exchange.prompt = route.prompt_field();
  if (route.asks_engine() && !host_.service.engine().has_room(exchange.caller))
    throw no_room(host_.service.engine().stopping());
  std::string body = co_await read_body(incoming, exchange, route);
  busy_ = true;
  if (route.asks_engine()) {
    co_await call_engine(exchange, route, std::move(body));
    co_return;
  }
  Response response;
  if (route.changes_loras()) {
    response = co_await change_loras(route, body);
  } else if (route.body_bytes > 0) {
    const auto work = [this, &route, &body] { return host_.service.tokens(route, body); };
    response = co_await on(host_.readers, work);
  } else {
    response = host_.service.page(route, head_of(incoming.parser.get()));
  }
  exchange.entry.status = response.status;
  co_await write(whole_reply(response, exchange.framing));
}

/// Unloading waits for the answers that are under the LoRA.
awaitable<Response> Connection::change_loras(const Route& route, const std::string& body) {
  const auto work = [this, &route, &body] { return host_.service.change_loras(route, body); };
  const Service::LoraChange change = co_await on(host_.fetchers, work);
  while (!change.left.expired()) {
    wake_->expires_after(kLook);
    co_await wake_->async_wait(kAwait);
  }
  co_return change.reply;
}

awaitable<const Route*> Connection::read_header(Incoming& incoming, Exchange& exchange) {
  auto& parser = incoming.parser;
  parser.header_limit(kMostHeader);
  parser.body_limit(longest_body());
  within(patience_.header);
  const auto [error, bytes] = co_await http::async_read_header(stream_, buffer_, parser, kAwait);
  const bool in_time = this->in_time();
  if (parser.is_header_done()) {
    exchange.entry.method = std::string(parser.get().method_string());
    exchange.entry.path = std::string(parser.get().target());
    exchange.entry.trace_parent = std::string(parser.get()["traceparent"]);
    exchange.framing.head_only = parser.get().method() == http::verb::head;
  }
  if (!in_time) throw too_slow("header");
  if (error) throw refusal_of_http(error);
  check_framing(parser.get());
  const RequestHead head = head_of(parser.get());
  exchange.framing.keep_alive = parser.get().keep_alive();
  exchange.framing.chunked = parser.get().version() >= 11;
  exchange.caller = host_.service.caller_of(head, client_);
  co_return &host_.service.route(head);
}

/// The memory for all bodies counts what has come: a client that only announces a body takes none of it.
awaitable<std::string> Connection::read_body(Incoming& incoming, Exchange& exchange, const Route& route) {
  auto& parser = incoming.parser;
  const std::uint64_t length = parser.content_length().value_or(0);
  if (length > route.body_bytes || (parser.chunked() && route.body_bytes == 0))
    throw Refusal(413,
                  concat("The body of the request is longer than the ", route.body_bytes, " bytes that ", route.path,
                         " takes; send smaller pictures or less text."),
                  {}, "body_too_large");
  if (length > host_.bodies.left()) throw too_many_bodies();
  if (parser.is_done()) co_return std::string();
  parser.body_limit(route.body_bytes);
  parser.eager(true);
  if (boost::beast::iequals(parser.get()[http::field::expect], "100-continue"))
    co_await write("HTTP/1.1 100 Continue\r\n\r\n");
  std::string& body = parser.get().body();
  bool fits = true;
  error_code error;
  within(patience_.body);
  while (!error && fits && !late_ && !parser.is_done()) {
    const std::size_t before = body.size();
    const auto [failed, bytes] = co_await http::async_read_some(stream_, buffer_, parser, kAwait);
    error = failed;
    fits = exchange.held.grow(body.size() - before);
  }
  if (!in_time()) throw too_slow("body");
  if (!fits) throw too_many_bodies();
  if (error) throw refusal_of_http(error);
  co_return std::move(body);
}

awaitable<void> Connection::write(std::string bytes) {
  within(patience_.write);
  const auto [error, written] = co_await asio::async_write(stream_, asio::buffer(bytes), kAwait);
  if (!in_time() || error) throw ClientLeft();
}

/// Reads what the client still sends for a while: a connection that is closed with unread bytes may lose the reply.
awaitable<void> Connection::linger() {
  error_code error;
  stream_.socket().shutdown(tcp::socket::shutdown_send, error);
  within(kLinger);
  std::array<char, 4096> scratch;
  while (!error) {
    const auto [failed, bytes] = co_await stream_.socket().async_read_some(asio::buffer(scratch), kAwait);
    error = failed;
  }
  in_time();
}

}  // namespace lithe::serve
