#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tune/meeting.h"

namespace lithe::tune {

/// Tells the other ranks that this one lives, and notices if one of them does not, also if its machine lost power and
/// no connection was closed. A thread of its own does both, so a rank may compute for long.
class Heartbeat {
 public:
  Heartbeat(const Store& store, int64_t rank, int64_t size);
  ~Heartbeat();  ///< Says that this rank left in good order.
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  /// Why the run can't go on, if it can't.
  std::optional<std::string> lost() const;
  /// The same after a connection broke: waits for seconds until it is known which rank ended, or why.
  std::string why_broken() const;
  /// For the others: why this rank ends.
  void tell(const std::string& sentence);
  /// Waits until every rank has left, but not for long.
  void see_off();

 private:
  using Clock = std::chrono::steady_clock;
  struct Other {
    std::string beat;
    Clock::time_point changed = Clock::now();
    bool left = false;
  };

  void live(const std::stop_token& end);
  void look();
  void note_beats(const std::vector<std::vector<uint8_t>>& beats);
  std::string silent_since(std::chrono::seconds most) const;  // "rank 1", "ranks 1, 2", or empty

  const int64_t rank_, size_;
  Store store_;  // a connection of its own: a wait on the other one must not stop the heart
  mutable std::mutex mutex_;
  std::vector<Other> others_;        // [size]
  Clock::time_point looked_;         // when the store last answered
  std::optional<std::string> lost_;  // the reason
  std::jthread thread_;
};

}  // namespace lithe::tune
