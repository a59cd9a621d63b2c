#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>

namespace lithe::session {

/// The requests of a batch by their tickets, so that any thread may end one of them.
class Tickets {
 public:
  /// A token that stops when cancel() or the caller's own token asks for it.
  std::stop_token open(int64_t ticket, const std::stop_token& callers);
  /// Asks every open request of this ticket to end; does nothing if no such request is open. From any thread.
  void cancel(int64_t ticket);
  void close(int64_t ticket);

 private:
  struct Ticket {
    std::stop_source source;
    std::unique_ptr<std::stop_callback<std::function<void()>>> callers;
  };
  std::mutex mutex_;
  std::multimap<int64_t, Ticket> open_;
};

}  // namespace lithe::session
