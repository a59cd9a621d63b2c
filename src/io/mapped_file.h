#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "io/bytes.h"

namespace lithe::io {

/// Maps a regular file read-only; pages are read when they are touched, and the last copy of `owner` unmaps them. When
/// the file becomes shorter while it is mapped, or its disk fails, touching the lost pages raises SIGBUS; see
/// exit_on_lost_pages. Throws Error{bad_file} when the file is absent, unreadable or not a regular file.
Bytes map_file(const std::filesystem::path& path);

/// The file that is mapped at this address; absent for other memory.
std::optional<std::string> mapped_file_at(const void* address);

/// Whether a file is mapped now.
bool is_mapped(dev_t device, ino_t inode);

/// For programs: from now on, a lost page of a mapped file ends the process with `prefix` and one sentence on stderr
/// that names the file, and with `exit_code`. Every other SIGBUS ends it as the system does. A library must not call
/// this, as the handling of signals belongs to the program.
void exit_on_lost_pages(const std::string& prefix, int exit_code);

/// Tells the system that these bytes of a mapping have been read for the last time, so that their pages can go first.
/// They can still be read. No effect on other memory, nor on systems that cannot do it.
void need_no_more(std::span<const std::byte> bytes);

}  // namespace lithe::io
