#pragma once

#include "base/clock.h"
#include "serve/access_log.h"
#include "serve/answer_json.h"
#include "serve/byte_budget.h"
#include "serve/response.h"

namespace lithe::serve {

/// One request and its reply, as far as they have come.
struct Exchange {
  Framing framing;
  AnswerHead head;
  AccessEntry entry;
  Stopwatch clock;
  ByteBudget::Share share;  // of the memory for bodies
  bool pictures = false, usage_at_end = false, token_ids = false;
  bool replied = false;  // at least the head of the reply
};

}  // namespace lithe::serve
