#pragma once

#include <exception>
#include <functional>

#include "lithe/model.h"
#include "session/session.h"

namespace lithe::api {

/// The answer in the public form.
Answer public_answer(session::Answer&& answer);

/// Runs `ask` with the options that call `listener`. What the listener's callbacks throw ends the answer and is thrown
/// unchanged; everything else is thrown as Failure.
Answer ask_heard(const Listener& listener, session::AnswerOptions options,
                 const std::function<session::Answer(const session::AnswerOptions&)>& ask);

}  // namespace lithe::api
