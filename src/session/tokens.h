#pragma once

#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "session/session.h"

/// What a front end asks of a model's tokenizer. Any thread may call these, also while another runs a batch.
namespace lithe::session {

/// Ids of a text without pictures. `add_special` adds BOS (and EOS) if this tokenizer does. Throws Error{bad_request}
/// if the model has no tokenizer, or for more than 4 MiB.
std::vector<int64_t> token_ids(const Session& session, std::string_view text, bool add_special);

/// Text of ids, special tokens included. Throws Error{bad_request} if the model has no tokenizer.
std::string text_of(const Session& session, std::span<const int64_t> ids);

/// The bytes that a token adds to a text; empty for an id that the tokenizer does not know.
std::string bytes_of_token(const Session& session, int64_t id);

/// The tokens of a request's prompt, those of its pictures included, which are not decoded. Throws Error{bad_request}
/// if marks and pictures differ in number.
int64_t prompt_tokens(const Session& session, const Request& request);

/// How many tokens the model has logits for.
int64_t vocabulary_size(const Session& session);

/// The most tokens that a prompt and its answer may have.
int64_t longest_sequence(const Session& session);

/// Whether what was thrown says that a prompt leaves no room for an answer.
bool says_too_long(const std::exception_ptr& thrown);

}  // namespace lithe::session
