#pragma once

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "serve/byte_budget.h"
#include "serve/exchange.h"
#include "serve/log_writer.h"
#include "serve/service.h"
#include "serve/stream.h"

namespace lithe::serve {

/// Thrown when nobody reads what is written.
struct ClientLeft {};

/// How operations are awaited: errors are returned, not thrown.
inline constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

/// Why a request can't run now.
Refusal no_room(bool stopping);

class Connection;

/// What the connections of a server share. Only the thread that talks to clients touches it.
struct Host {
  Service& service;
  asio::io_context& io;
  asio::thread_pool& readers;   ///< Threads that make requests of bodies.
  asio::thread_pool& fetchers;  ///< Threads that wait for remote pictures.
  ByteBudget bodies;
  std::unique_ptr<LogWriter> log;     ///< Null: there is none.
  asio::ssl::context* tls = nullptr;  ///< Null: connections are not encrypted.
  std::set<Connection*> connections;
  std::list<Connection*> idle;  ///< Those that wait for a request, the longest first.
  bool closing = false;
  std::function<void()> on_last;  ///< Called when the last connection has ended.

  /// Makes place for another client. False: no connection is idle.
  bool end_longest_idle();
};

/// One client: its requests, one after another. Each phase has its deadline.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Host& host, tcp::socket socket);
  ~Connection();

  /// Talks to the client until it leaves.
  static asio::awaitable<void> serve(std::shared_ptr<Connection> self);
  /// Ends it unless it is about to reply.
  void end_if_idle();
  /// Of an idle one: ends it, if nothing of a request has come. False: something has, or it has ended.
  bool end_if_unasked();
  /// Ends it at once.
  void cut();

 private:
  struct Incoming;  // the parser of a request

  asio::awaitable<void> run();
  asio::awaitable<bool> handshake();
  asio::awaitable<void> goodbye();
  asio::awaitable<bool> wait_for_request();
  asio::awaitable<bool> one_request();
  asio::awaitable<bool> refuse(Exchange& exchange, std::exception_ptr failure);
  asio::awaitable<void> read_and_reply(Incoming& incoming, Exchange& exchange);
  asio::awaitable<const Route*> read_header(Incoming& incoming, Exchange& exchange);
  asio::awaitable<std::string> read_body(Incoming& incoming, Exchange& exchange, const Route& route);
  asio::awaitable<Call> read_call(Exchange& exchange, const Route& route, std::string body);
  asio::awaitable<Response> change_loras(const Route& route, const std::string& body);
  asio::awaitable<void> call_engine(Exchange& exchange, const Route& route, std::string body);
  asio::awaitable<void> answer(Exchange& exchange, const Route& route, std::string body);
  asio::awaitable<void> whole_answer(Exchange& exchange, AnswerQueue& queue);
  asio::awaitable<void> stream_answer(Exchange& exchange, AnswerQueue& queue);
  static std::string events_of(Exchange& exchange, const AnswerQueue::News& news,
                               const std::optional<Refusal>& failure);
  asio::awaitable<AnswerQueue::News> next_news(AnswerQueue& queue);
  asio::awaitable<void> write(std::string bytes);
  asio::awaitable<void> linger();
  template <class Work>
  static auto on(asio::thread_pool& threads, Work work) -> asio::awaitable<decltype(work())>;

  void within(std::chrono::milliseconds patience);
  void cancel_after(std::chrono::milliseconds patience);
  bool in_time();
  void watch();
  void look(boost::system::error_code error);
  asio::awaitable<void> stop_watching();

  Host& host_;
  const Patience& patience_;
  Stream stream_;
  std::string client_;
  boost::beast::flat_buffer buffer_;  // read, but of the next request
  asio::steady_timer deadline_;
  uint64_t turn_ = 0;  // of the deadline
  bool late_ = false;
  std::shared_ptr<asio::steady_timer> wake_;  // cancelled when there is news
  bool busy_ = false;                         // makes a reply
  bool unread_ = false;                       // the client may still be sending a body
  bool watching_ = false;
  std::atomic<bool> left_ = false;  // a thread that fetches pictures looks too
};

/// Does the work on another thread. Give it a function that has a name: GCC 12 destroys a closure twice that is made in
/// the expression of a co_await.
template <class Work>
auto Connection::on(asio::thread_pool& threads, Work work) -> asio::awaitable<decltype(work())> {
  auto task = [](Work todo) -> asio::awaitable<decltype(todo())> { co_return todo(); };
  co_return co_await asio::co_spawn(threads, task(std::move(work)), asio::use_awaitable);
}

}  // namespace lithe::serve
