#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "session/session.h"

/// What can be done for a request before its turn in a batch comes. Any thread may call these, also while another runs
/// a batch.
namespace lithe::session {

/// The tokens of a request's prompt and its plan.
struct ReadPrompt;

/// Throws Error{bad_request} if the request can't run under its plan.
void check_plan(const Session& session, const Request& request);

/// Writes the prompt by the chat template and makes tokens of it; no picture is decoded. Throws Error{bad_request} if
/// marks and pictures differ in number or the prompt can't be read, and what says_too_long() knows if the prompt leaves
/// no room for an answer.
std::shared_ptr<const ReadPrompt> read_prompt(const Session& session, const Request& request);

/// The same of a request without pictures whose prompt is given as tokens, which are taken as they are. Throws
/// Error{bad_request} also for an id that is not in the vocabulary.
std::shared_ptr<const ReadPrompt> read_prompt(const Session& session, const Request& request, std::vector<int64_t> ids);

}  // namespace lithe::session
