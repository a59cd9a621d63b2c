#include "serve/server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <exception>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "serve/connection.h"
#include "serve/host_names.h"
#include "serve/loras.h"
#include "serve/picture_fetcher.h"
#include "serve/service.h"

namespace lithe::serve {
namespace {

using boost::system::error_code;

constexpr int kReaders = 2, kFetchers = 8;    // threads
constexpr std::chrono::seconds kFarewell{5};  // for replies that are being written when the engine has ended
constexpr std::chrono::milliseconds kRetry{100};

tcp::endpoint endpoint_of(const ServerOptions& options) {
  error_code error;
  const std::string host = options.host == "localhost" ? "127.0.0.1" : options.host;
  const asio::ip::address address = asio::ip::make_address(host, error);
  require(!error, Fault::bad_request, "--host is ", in_quotes(options.host),
          "; give an address of this machine, such as 127.0.0.1 or 0.0.0.0.");
  return {address, options.port};
}

tcp::acceptor listening(asio::io_context& io, const ServerOptions& options) {
  const tcp::endpoint endpoint = endpoint_of(options);
  tcp::acceptor acceptor(io);
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  require(!error, Fault::bad_request, "The server can't listen at ", in_quotes(options.host), ", port ", options.port,
          " (", error.message(), "); choose another --port or --host.");
  return acceptor;
}

}  // namespace

void check_place(const ServerOptions& options) {
  const HostNames names(options);
  folder_of_pictures(options);
  folder_of_loras(options);
  tls_context(options);
  asio::io_context io;
  listening(io, options);
}

class Server::Impl {
 public:
  Impl(const session::Session& session, const ServerOptions& options)
      : fetchers_(options.fetcher ? kFetchers : 1),
        service_(session, options),
        tls_(tls_context(options)),
        acceptor_(listening(io_, options)),
        signals_(io_),
        farewell_(io_),
        host_{.service = service_,
              .io = io_,
              .readers = readers_,
              .fetchers = fetchers_,
              .bodies = ByteBudget(options.body_bytes),
              .log = options.log ? std::make_unique<LogWriter>(options.log) : nullptr,
              .tls = tls_.get()} {
    host_.on_last = [this] { farewell_.cancel(); };
  }

  ~Impl() {
    host_.on_last = {};
    readers_.join();
    fetchers_.join();
  }

  uint16_t port() const { return acceptor_.local_endpoint().port(); }

  void stop() { service_.engine().stop(service_.options().shutdown); }

  void run() {
    asio::co_spawn(io_, accept(), asio::detached);
    if (service_.options().handle_signals) handle_signals();
    std::thread talking([this] { talk(); });
    std::exception_ptr failure;
    try {
      service_.engine().run();
    } catch (...) {
      failure = std::current_exception();
    }
    asio::post(io_, [this] { close(); });
    talking.join();
    host_.log.reset();  // waits for its lines
    if (failure) std::rethrow_exception(failure);
  }

 private:
  void handle_signals() {
    signals_.add(SIGINT);
    signals_.add(SIGTERM);
    wait_for_signal();
  }

  void wait_for_signal() {
    signals_.async_wait([this](const error_code& error, int) {
      if (error) return;
      if (service_.engine().stopping()) {
        service_.engine().stop(std::chrono::milliseconds(0));
      } else {
        stop();
      }
      wait_for_signal();
    });
  }

  /// What a handler throws (memory ran out) ends that handler alone.
  void talk() {
    for (bool done = false; !done;) {
      try {
        io_.run();
        done = true;
      } catch (const std::exception&) {
      }
    }
  }

  asio::awaitable<void> accept() {
    while (!host_.closing) {
      tcp::socket socket(io_);
      const auto [error] = co_await acceptor_.async_accept(socket, asio::as_tuple(asio::use_awaitable));
      if (!error) {
        welcome(std::move(socket));
      } else if (!host_.closing) {
        if (error == asio::error::no_descriptors) host_.end_longest_idle();
        asio::steady_timer later(io_, kRetry);
        co_await later.async_wait(asio::as_tuple(asio::use_awaitable));
      }
    }
  }

  void welcome(tcp::socket socket) {
    const bool full = static_cast<int64_t>(host_.connections.size()) >= service_.options().connections;
    if (full && !host_.end_longest_idle()) {
      if (tls_) return;  // no reply without a handshake
      const Refusal refusal(503, "Too many clients are connected; try again later.", {}, "too_many_connections");
      error_code ignored;
      socket.non_blocking(true, ignored);
      socket.write_some(asio::buffer(whole_reply(error_response(refusal), {.id = service_.next_id()})), ignored);
      return;
    }
    asio::co_spawn(io_, Connection::serve(std::make_shared<Connection>(host_, std::move(socket))), asio::detached);
  }

  /// The engine has ended: replies may still be on their way.
  void close() {
    host_.closing = true;
    if (service_.options().fetcher) service_.options().fetcher->stop();
    error_code ignored;
    acceptor_.close(ignored);
    signals_.cancel(ignored);
    for (Connection* connection : host_.connections) connection->end_if_idle();
    if (host_.connections.empty()) return;
    farewell_.expires_after(kFarewell);
    farewell_.async_wait([this](const error_code& error) {
      if (error) return;
      for (Connection* connection : host_.connections) connection->cut();
    });
  }

  asio::io_context io_{1};
  asio::thread_pool readers_{kReaders};
  asio::thread_pool fetchers_;
  Service service_;
  std::unique_ptr<asio::ssl::context> tls_;
  tcp::acceptor acceptor_;
  asio::signal_set signals_;
  asio::steady_timer farewell_;
  Host host_;
};

Server::Server(const session::Session& session, ServerOptions options)
    : impl_(std::make_unique<Impl>(session, options)) {}
Server::~Server() = default;

uint16_t Server::port() const {
  return impl_->port();
}

void Server::run() {
  impl_->run();
}

void Server::stop() {
  impl_->stop();
}

}  // namespace lithe::serve
