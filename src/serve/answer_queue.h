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

/// What the engine's thread has to say about one call, for the connection that waits for it. The engine never waits
/// here: a client that reads too slowly ends its own answers. The answers to all prompts of the call are numbered:
/// those to the first prompt, those to the second, and so on.
class AnswerQueue {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{1} << 20;  ///< Of text and ratings that were not taken.

  /// What one answer has grown by.
  struct Piece {
    std::string text;
    std::vector<session::TokenRating> ratings;
    bool empty() const { return text.empty() && ratings.empty(); }
  };
  /// An answer that is done while others go on.
  struct Ended {
    std::size_t answer = 0;
    session::Answer what;
  };
  /// What happened since the last look.
  struct News {
    std::vector<Piece> pieces;  ///< One for each answer, up to the last that has grown.
    std::vector<Ended> ended;   ///< An answer may be told twice.
    /// The end: those of all prompts, or of the one that was not answered alone.
    std::optional<std::vector<session::Outcome>> outcomes;
    bool empty() const { return pieces.empty() && ended.empty() && !outcomes; }
  };

  /// `wake` is called from the engine's thread when there is news.
  explicit AnswerQueue(std::function<void()> wake, std::size_t prompts = 1)
      : wake_(std::move(wake)), outcomes_(prompts), open_(prompts) {}

  /// From the engine's thread, of answer number `answer`. False: too much waits, so the answer must end.
  bool push(std::size_t answer, const std::string& piece);
  /// The reader hears of a rating with the text that comes after it, or at the end.
  void push(std::size_t answer, const session::TokenRating& rating);
  void end_one(std::size_t answer, session::Answer what);
  /// Of the prompt of this number.
  void end(std::size_t prompt, session::Outcome outcome);

  /// From the connection.
  News take();
  /// Nobody waits any more: the request ends after the current layer.
  void abandon() { stop_.request_stop(); }
  std::stop_token token() const { return stop_.get_token(); }

 private:
  Piece& piece_of(std::size_t answer);                                   // with the lock
  void tell_ended(std::size_t prompt, const session::Outcome& outcome);  // with the lock

  std::mutex mutex_;
  News news_;
  std::size_t bytes_ = 0;  // of the news
  std::stop_source stop_;
  std::function<void()> wake_;
  std::vector<session::Outcome> outcomes_;  // of the prompts, until all are there
  std::size_t open_;                        // prompts without an outcome
};

}  // namespace lithe::serve
