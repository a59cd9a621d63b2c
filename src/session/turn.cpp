#include "session/turn.h"

#include <map>
#include <string_view>

namespace lithe::session {

std::size_t place_among(std::span<const Turn* const> waiting, const Turn& next) {
  std::size_t first = 0;  // the earliest place: after what comes before it whatever the others do
  std::size_t own = 0;    // requests of the same client and priority
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    const bool same = waiting[i]->priority == next.priority && waiting[i]->client == next.client;
    if (same) ++own;
    if (same || waiting[i]->priority < next.priority) first = i + 1;
  }
  std::map<std::string_view, std::size_t> before;  // requests of each client
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    const Turn& one = *waiting[i];
    if (one.priority > next.priority) return i;
    const bool later = one.priority == next.priority && before[one.client]++ > own;
    if (later && i >= first) return i;
  }
  return waiting.size();
}

}  // namespace lithe::session
