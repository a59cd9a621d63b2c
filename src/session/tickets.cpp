#include "session/tickets.h"

#include <utility>

namespace lithe::session {

std::stop_token Tickets::open(int64_t ticket, const std::stop_token& callers) {
  Ticket made;
  made.callers = std::make_unique<std::stop_callback<std::function<void()>>>(
      callers, [source = made.source]() mutable { source.request_stop(); });
  std::stop_token token = made.source.get_token();
  const std::lock_guard lock(mutex_);
  open_.emplace(ticket, std::move(made));
  return token;
}

void Tickets::cancel(int64_t ticket) {
  const std::lock_guard lock(mutex_);
  const auto [first, last] = open_.equal_range(ticket);
  for (auto one = first; one != last; ++one) one->second.source.request_stop();
}

void Tickets::close(int64_t ticket) {
  std::multimap<int64_t, Ticket>::node_type closed;  // outside the lock: it waits for the caller's callback at work
  const std::lock_guard lock(mutex_);
  if (const auto one = open_.find(ticket); one != open_.end()) closed = open_.extract(one);
}

}  // namespace lithe::session
