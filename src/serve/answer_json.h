#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "session/session.h"

namespace lithe::serve {

/// What the JSON of one answer repeats.
struct AnswerHead {
  std::string id;  ///< "chatcmpl-..", "cmpl-.."
  std::string model;
  int64_t created = 0;  ///< Seconds since 1970.
  bool chat = true;
};

/// Rows of pictures that a decoder layer ran, on average over the layers, rounded.
int64_t kept_image_tokens(const session::Answer& answer);

/// "stop" or "length".
std::string finish_reason(const session::Answer& answer);

/// {"prompt_tokens", "completion_tokens", ..}
Json usage_json(const session::Answer& answer);

/// The whole answer.
Json answer_json(const AnswerHead& head, const session::Answer& answer, bool token_ids);

/// Pieces of a stream: its begin, a text, and its end with the reason.
Json first_chunk(const AnswerHead& head);
Json text_chunk(const AnswerHead& head, const std::string& text);
Json last_chunk(const AnswerHead& head, const session::Answer& answer, bool token_ids);
/// After the last: no choices, and the usage.
Json usage_chunk(const AnswerHead& head, const session::Answer& answer);

/// JSON as text on one line; bytes that are not UTF-8 are replaced.
std::string text_of(const Json& json);

}  // namespace lithe::serve
