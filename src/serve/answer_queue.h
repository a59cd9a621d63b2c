#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "session/batch.h"

namespace lithe::serve {

/// What the engine's thread has to say about one request, for the connection that waits for it. The engine never waits
/// here: a client that reads too slowly ends its own answer.
class AnswerQueue {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{1} << 20;  ///< Of text that was not taken.

  /// What happened since the last look.
  struct News {
    std::string text;
    std::optional<session::Outcome> outcome;  ///< The end.
    bool empty() const { return text.empty() && !outcome; }
  };

  /// `wake` is called from the engine's thread when there is news.
  explicit AnswerQueue(std::function<void()> wake) : wake_(std::move(wake)) {}

  /// From the engine's thread. False: too much text waits, so the answer must end.
  bool push(const std::string& piece);
  void end(session::Outcome outcome);

  /// From the connection.
  News take();
  /// Nobody waits any more: the request ends after the current layer.
  void abandon() { stop_.request_stop(); }
  std::stop_token token() const { return stop_.get_token(); }

 private:
  std::mutex mutex_;
  News news_;
  std::stop_source stop_;
  std::function<void()> wake_;
};

}  // namespace lithe::serve
