#pragma once

#include <string>
#include <vector>

#include "image/source.h"
#include "lithe/model.h"
#include "session/session.h"

namespace lithe::api {

/// A picture that is decoded when its turn comes. Throws Error: bad_file for files and encoded bytes, bad_request for
/// RGB whose size does not fit its bytes.
image::Source source_of(const Picture& picture, const image::DecodeOptions& options);

/// The pictures of a question. Throws Error, also for more than a prompt has room for.
std::vector<image::Source> pictures_of(const Question& question, const session::Session& session);

/// A plan by its name, its file or its JSON text. Throws Error.
plan::Plan plan_of(const std::string& plan, const session::Session& session);

/// The question as the session takes it. Throws Error.
session::Request request_of(const Question& question, const session::Session& session);

/// Tokens, stops and sampling of the question. Throws Error{bad_request}.
session::AnswerOptions options_of(const Question& question, const session::Session& session);

}  // namespace lithe::api
