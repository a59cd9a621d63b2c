#pragma once

#include <cstdint>
#include <filesystem>

namespace lithe::session {

/// Bytes that this process may still take: what the machine has free, cut by the limit of its control group.
int64_t memory_available();

/// What a control group (version 2) leaves of its limit, with the file cache counted as free, since the kernel gives it
/// up on demand (a mapped model lies there). The largest number if there is no limit.
int64_t free_in_group(const std::filesystem::path& group);

}  // namespace lithe::session
