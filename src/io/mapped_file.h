#pragma once

#include <filesystem>
#include <span>

#include "io/bytes.h"

namespace lithe::io {

/// Maps a regular file read-only; pages are read when they are touched, and the last copy of `owner` unmaps them.
/// The file must not shrink while it is mapped. Throws Error{bad_file} when it is absent, unreadable or not a regular
/// file.
Bytes map_file(const std::filesystem::path& path);

/// Asks the system to read these bytes of a mapping ahead; no effect on other memory.
void will_need(std::span<const std::byte> bytes);

}  // namespace lithe::io
