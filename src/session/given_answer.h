#pragma once

#include <cstdint>
#include <vector>

#include "models/model.h"
#include "session/session.h"

namespace lithe::session {

/// The tokens of Request::given_answer as the template writes it after the prompt, and the token that ends an answer,
/// if the model has one. White space at the answer's ends is not part of it. Empty if no answer is given. `prompt`: the
/// tokens of the request. Throws Error{bad_request} if the answer's tokens can't be told from the prompt's.
std::vector<int64_t> given_answer_ids(const models::Model& model, const Request& request,
                                      const std::vector<int64_t>& prompt);

/// Whether the tokens of an answer may run in one pass after the prompt, as if they had been generated one by one. Not
/// if rotary angles depend on the length of what runs, or if an adapter reads the rows of the pass.
bool answers_run_whole(const models::Model& model);

}  // namespace lithe::session
