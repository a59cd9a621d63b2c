#pragma once

#include "plan/plan.h"
#include "session/prompt_rows.h"
#include "session/session.h"

namespace lithe::session {

/// Throws Error{bad_request} if the plan keeps what a request needs (selector `given`), and the request does not say
/// what that is.
void require_needed(const Request& request, const plan::Plan& plan);

/// If the plan asks for it, gives the vision tokens that the request needs the score 1 and all others 0. Throws
/// Error{bad_request} for a token that a picture does not have.
void score_needed(const Request& request, const plan::Plan& plan, PromptRows& prompt);

}  // namespace lithe::session
