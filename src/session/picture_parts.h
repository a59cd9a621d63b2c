#pragma once

#include <cstdint>
#include <vector>

#include "image/view_parts.h"
#include "session/session.h"

namespace lithe::session {

/// Which part of a picture each view of KeptMap::views shows, in the same order. `picture`: the size of the decoded
/// picture; `pictures`: how many the prompt has. Any thread may call it. Throws Error{bad_request} if the model takes
/// no pictures.
std::vector<image::Part> picture_parts(const Session& session, image::Size picture, int64_t pictures);

}  // namespace lithe::session
