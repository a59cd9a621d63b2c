#pragma once

#include "image/source.h"
#include "lithe/model.h"
#include "session/request.h"

namespace lithe::api {

/// A picture as the session takes it. Throws Error{bad_request} if it is not of a known kind.
image::Given given_picture(const Picture& picture);

/// A question as the session takes it. Throws as given_picture.
session::Question given_question(const Question& question);

}  // namespace lithe::api
