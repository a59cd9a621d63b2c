#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "serve/answer_queue.h"
#include "serve/reply_head.h"
#include "session/batch.h"

namespace lithe::serve {

/// The head of a reply of /v1/chat/completions or /v1/completions.
struct AnswerHead : ReplyHead {
  bool chat = true;
  bool token_ids = false;  ///< With the ids of the tokens.
};

/// Rows of pictures that a decoder layer ran, on average over the layers, rounded.
int64_t kept_image_tokens(const session::Answer& answer);

/// "stop" or "length".
std::string finish_reason(const session::Answer& answer);

/// New tokens of all answers.
int64_t new_tokens(const session::Outcome& outcome);

/// The times of an answer, as llama.cpp's server has them.
Json timings_json(const session::Answer& answer);

/// {"prompt_tokens", "completion_tokens", ..} of all prompts.
Json usage_json(const std::vector<session::Outcome>& outcomes);

/// The whole reply. Times and savings are those of the first answer.
Json answer_json(const AnswerHead& head, const std::vector<session::Outcome>& outcomes);

/// Pieces of a stream, of answer number `index`: its begin, a text, and its end with the reason.
Json first_chunk(const AnswerHead& head, std::size_t index);
Json text_chunk(const AnswerHead& head, std::size_t index, const AnswerQueue::Piece& piece);
Json last_chunk(const AnswerHead& head, std::size_t index, const session::Answer& answer);
/// After the last: no choices, and the usage.
Json usage_chunk(const AnswerHead& head, const std::vector<session::Outcome>& outcomes);

}  // namespace lithe::serve
