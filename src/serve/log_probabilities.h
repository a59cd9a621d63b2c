#pragma once

#include <span>

#include "base/json.h"
#include "session/session.h"

namespace lithe::serve {

/// "logprobs" of a chat: {"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal": null}
Json chat_log_probabilities(const session::Session& session, std::span<const session::TokenRating> tokens);

/// The entries of its "content".
Json rated_tokens(const session::Session& session, std::span<const session::TokenRating> tokens);

/// "logprobs" of a text completion: {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
Json completion_log_probabilities(const session::Session& session, std::span<const session::TokenRating> tokens);

}  // namespace lithe::serve
