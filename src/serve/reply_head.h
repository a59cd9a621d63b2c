#pragma once

#include <cstdint>
#include <string>

#include "serve/savings.h"
#include "session/session.h"

namespace lithe::serve {

/// What a reply of any API repeats, and what else it needs to know besides the answers.
struct ReplyHead {
  std::string id;  ///< "chatcmpl-..", "cmpl-.."; of /v1/responses: without "resp_".
  std::string model;
  int64_t created = 0;                          ///< Seconds since 1970.
  const session::Session* log_probs = nullptr;  ///< With log probabilities of tokens, by their text; null: without.
  Savings savings;
};

}  // namespace lithe::serve
