#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/json.h"
#include "serve/answer_queue.h"
#include "serve/refusal.h"
#include "session/batch.h"

namespace lithe::serve {

/// How an API writes the answers to one call. The functions of a stream give server-sent events as text.
class ReplyForm {
 public:
  using Outcomes = std::vector<session::Outcome>;  ///< One for each prompt.

  virtual ~ReplyForm() = default;

  /// The body of a reply that is not a stream.
  virtual Json whole(const Outcomes& outcomes) const = 0;

  /// What a stream begins with.
  virtual std::string begin() = 0;
  /// What answer number `answer` has grown by.
  virtual std::string grown(std::size_t answer, const AnswerQueue::Piece& piece) = 0;
  /// What is said when answer number `answer` is done. Once for each answer, whoever asks.
  virtual std::string ended(std::size_t answer, const session::Answer& what) = 0;
  /// The end of a stream.
  virtual std::string end(const Outcomes& outcomes) = 0;
  /// The end of a stream that has begun, in place of the rest.
  virtual std::string failed(const Refusal& refusal) = 0;
};

}  // namespace lithe::serve
