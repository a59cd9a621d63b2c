#pragma once

#include "lithe/model.h"
#include "session/session.h"

namespace lithe::api {

/// Reads and decodes a picture. Throws Error: bad_file for files and encoded bytes, bad_request for RGB whose size
/// does not fit its bytes.
image::Image decode(const Picture& picture, const image::DecodeOptions& options);

/// The question as the session takes it. Throws Error.
session::Request request_of(const Question& question, const session::Session& session);

/// Tokens, stops and sampling of the question. Throws Error{bad_request}.
session::AnswerOptions options_of(const Question& question, const session::Session& session);

}  // namespace lithe::api
