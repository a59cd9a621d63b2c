#pragma once

#include <vector>

#include "lithe/model.h"
#include "session/session.h"

namespace lithe::api {

/// All questions as a batch; outcomes in their order. Throws Error for options out of range.
std::vector<Outcome> ask_all(const session::Session& session, const std::vector<Question>& questions,
                             const BatchOptions& options);

}  // namespace lithe::api
