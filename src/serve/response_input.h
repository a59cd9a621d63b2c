#pragma once

#include "serve/fields.h"
#include "serve/messages.h"
#include "session/session.h"

namespace lithe::serve {

/// Refuses fields of /v1/responses that ask the server to remember something, or to run on its own. Throws Refusal.
void refuse_state(const Fields& body);

/// "instructions" and "input" of /v1/responses as a chat. Throws Refusal.
Conversation read_input(const Fields& body);

/// The fields of a request that its reply repeats, as OpenAI has them.
Json repeated_fields(const Fields& body, const session::AnswerOptions& options);

}  // namespace lithe::serve
