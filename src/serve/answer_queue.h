#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "session/batch.h"

namespace lithe::serve {

/// What the engine's thread has to say about one request, for the connection that waits for it. The engine never waits
/// here: a client that reads too slowly ends its own answer.
class AnswerQueue {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{1} << 20;  ///< Of text and ratings that were not taken.

  /// What one answer of the request has grown by.
  struct Piece {
    std::string text;
    std::vector<session::TokenRating> ratings;
    bool empty() const { return text.empty() && ratings.empty(); }
  };
  /// What happened since the last look.
  struct News {
    std::vector<Piece> pieces;                ///< One for each answer, up to the last that has grown.
    std::optional<session::Outcome> outcome;  ///< The end.
    bool empty() const { return pieces.empty() && !outcome; }
  };

  /// `wake` is called from the engine's thread when there is news.
  explicit AnswerQueue(std::function<void()> wake) : wake_(std::move(wake)) {}

  /// From the engine's thread, of answer number `answer`. False: too much waits, so the answer must end.
  bool push(std::size_t answer, const std::string& piece);
  /// The reader hears of a rating with the text that comes after it, or at the end.
  void push(std::size_t answer, const session::TokenRating& rating);
  void end(session::Outcome outcome);

  /// From the connection.
  News take();
  /// Nobody waits any more: the request ends after the current layer.
  void abandon() { stop_.request_stop(); }
  std::stop_token token() const { return stop_.get_token(); }

 private:
  Piece& piece_of(std::size_t answer);  // with the lock

  std::mutex mutex_;
  News news_;
  std::size_t bytes_ = 0;  // of the news
  std::stop_source stop_;
  std::function<void()> wake_;
};

}  // namespace lithe::serve
