#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace lithe::session {

/// How a request waits among others.
struct Turn {
  int64_t priority = 0;  ///< Requests with a lower number run first.
  std::string client;    ///< Whose request it is.
};

/// Where a request goes among those that wait: after all of a lower priority number and before all of a higher one. Of
/// one priority, clients take turns: a client's first request goes after the first one of each other client and before
/// all second ones, and so on. So a client that sends many requests holds up another one by one request only. The
/// requests of one client keep the order in which they came. `waiting`: in their order.
std::size_t place_among(std::span<const Turn* const> waiting, const Turn& next);

}  // namespace lithe::session
