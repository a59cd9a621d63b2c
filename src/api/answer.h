#pragma once

#include <exception>
#include <functional>

#include "lithe/model.h"
#include "session/session.h"

namespace lithe::api {

/// The answer as the public face has it.
Answer public_answer(session::Answer&& answer);

/// Runs `ask` with the options of an answer that `listener` hears of. What the listener's callbacks throw ends the
/// answer and leaves as it is; everything else leaves as Failure.
Answer ask_heard(const Listener& listener, session::AnswerOptions options,
                 const std::function<session::Answer(const session::AnswerOptions&)>& ask);

}  // namespace lithe::api
