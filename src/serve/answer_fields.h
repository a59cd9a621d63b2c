#pragma once

#include <cstdint>

#include "serve/call.h"
#include "serve/fields.h"

namespace lithe::serve {

/// Whose field names a body has.
enum class Api { chat, completion, responses };

/// The fields that say how an answer is made: its length, how tokens are drawn, where it ends, its log probabilities
/// and its format. `seed`: if the body has none. Throws Refusal, and Error for values out of range.
session::AnswerOptions read_options(const Fields& body, const CallRules& rules, Api api, uint64_t seed);

/// How many answers are asked for. Throws Refusal.
int64_t read_count(const Fields& body, const CallRules& rules, Api api);

}  // namespace lithe::serve
