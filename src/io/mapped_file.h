#pragma once

#include <filesystem>
#include <span>

#include "io/bytes.h"

namespace lithe::io {

/// Maps a regular file read-only; pages are read when they are touched, and the last copy of `owner` unmaps them.
/// The file must not shrink while it is mapped. Throws Error{bad_file} when it is absent, unreadable or not a regular
/// file.
Bytes map_file(const std::filesystem::path& path);

/// Tells the system that these bytes of a mapping have been read for the last time, so that their pages can go first.
/// They can still be read. No effect on other memory, nor on systems that cannot do it.
void need_no_more(std::span<const std::byte> bytes);

}  // namespace lithe::io
