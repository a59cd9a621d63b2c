#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "serve/access_log.h"
#include "serve/byte_budget.h"
#include "serve/reply_form.h"
#include "serve/response.h"

namespace lithe::serve {

/// One request and its reply, as far as they have come.
struct Exchange {
  explicit Exchange(ByteBudget& bodies) : held(bodies) {}

  Framing framing;
  AccessEntry entry;
  Stopwatch clock;
  ByteBudget::Share held;           // of the memory for bodies and remote pictures
  std::string caller;               // Service::caller_of
  std::unique_ptr<ReplyForm> form;  // of answers
  std::string prompt;               // the field of the body that holds it
  bool pictures = false;
  bool replied = false;  // at least the head of the reply
};

}  // namespace lithe::serve
