#pragma once

#include <cstdint>

namespace lithe::session {

/// Bytes that this process may still take: what the machine has free, cut by the limit of its control group.
int64_t memory_available();

}  // namespace lithe::session
