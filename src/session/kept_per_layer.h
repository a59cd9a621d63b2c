#pragma once

#include <cstdint>
#include <vector>

#include "session/session.h"

namespace lithe::session {

/// The picture tokens that each decoder layer ran, over all pictures.
std::vector<int64_t> kept_per_layer(const Answer& answer);

}  // namespace lithe::session
